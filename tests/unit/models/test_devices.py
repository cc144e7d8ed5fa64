"""A device counts once it ran a network itself and agreed with the CPU.

Where another device is needed, ONNX Runtime's own providers play it: the one for Azure, which is in
every plain build but computes nothing itself, and the CPU's.
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from support.matting.played_devices import play_device
from vrmatte.errors import ConfigError
from vrmatte.models import devices
from vrmatte.models.devices import disagreement, refusal, verdicts
from vrmatte.models.ort import available_providers, provider_options
from vrmatte.models.runtime import open_session

CPU = "CPUExecutionProvider"
AZURE = "AzureExecutionProvider"


def one_node(op_type: str, **attributes) -> bytes:
    """y = op(x) for x of shape (batch, 4)."""
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], ["y"], **attributes)],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture
def play(monkeypatch):
    """Let a device be played by a provider that this build has.

    The CPU's is nobody's device: whatever plays by it is past the first trial, not the second.
    """
    played = {}

    def first_trial(device):
        return None if played.get(device) == CPU else refusal.__wrapped__(device)

    def play(device, provider):
        if provider not in available_providers():
            pytest.skip(f"this build of ONNX Runtime has no {provider}")
        played[device] = provider
        play_device(monkeypatch, device, provider, first_trial)

    return play


def test_a_provider_that_hands_everything_to_the_cpu_is_refused(play, capfd):
    play("directml", AZURE)
    reason = refusal.__wrapped__("directml")
    assert reason is not None
    assert reason.startswith(f"{AZURE} fails: ")
    session = open_session(one_node("Relu"), "directml")
    assert session.device == "cpu"
    assert session.provider == CPU
    assert "\n" not in reason
    assert capfd.readouterr() == ("", "")


def test_a_device_that_agrees_is_used(play):
    play("coreml", CPU)
    session = open_session(one_node("Relu"), "coreml", require_device=True)
    assert (session.device, session.notes, session.notices) == ("coreml", (), ())


def test_a_device_that_disagrees_is_not_used_and_reported(play):
    play("coreml", CPU)

    def trial(session):
        wrong = 0.1 if session.device == "coreml" else 0
        return session.run(None, {"x": np.full((1, 4), 1 + wrong, np.float32)})

    session = open_session(one_node("Relu"), "coreml", trial=trial)
    assert session.device == "cpu"
    (notice,) = session.notices
    assert notice.startswith("device coreml: it refuses the network: it disagrees with the CPU: ")
    assert session.notes[0] in notice
    with pytest.raises(ConfigError, match="disagrees with the CPU"):
        open_session(one_node("Relu"), "coreml", require_device=True, trial=trial)


def test_a_network_is_tried_as_its_user_says(play):
    play("coreml", CPU)
    tried = []

    def trial(session):
        tried.append(session.device)
        return session.run(None, {"x": np.full((2, 4), -1, np.float32)})

    assert open_session(one_node("Relu"), "coreml", trial=trial).device == "coreml"
    assert tried == ["coreml", "cpu"]


def test_auto_goes_to_the_next_device(play):
    play("cuda", AZURE)
    play("directml", CPU)
    session = open_session(one_node("Relu"), "auto")
    assert session.device == "directml"
    assert [note.split(":")[0] for note in session.notes] == ["cuda"]


def test_agreement():
    expected = [np.linspace(-20, 20, 50)]
    # One percent of the largest value, 20.
    assert disagreement([expected[0] + 0.19], expected) is None
    assert disagreement([expected[0] + 0.21], expected) is not None
    # Small values are measured against 1.
    assert disagreement([np.array([0.009])], [np.zeros(1)]) is None
    assert disagreement([np.array([0.011])], [np.zeros(1)]) is not None
    assert "nan" in (disagreement([np.array([np.nan])], [np.zeros(1)]) or "")
    assert "shape" in (disagreement([np.zeros((1, 2))], [np.zeros((2, 1))]) or "")
    assert disagreement([np.zeros((0, 2))], [np.zeros((0, 2))]) is None


def test_every_device_has_a_verdict():
    reasons = verdicts()
    assert set(reasons) == {"cpu", "cuda", "tensorrt", "directml", "coreml", "openvino"}
    assert reasons["cpu"] is None
    for device, reason in reasons.items():
        provider = devices.PROVIDER[device]
        assert provider in available_providers() if reason is None else provider in reason


def test_memory_limits_reach_the_providers():
    def options_of(device, limit):
        return provider_options(devices.PROVIDER[device], 3, limit)

    assert options_of("cuda", 2_000_000_000)["gpu_mem_limit"] == "2000000000"
    assert "gpu_mem_limit" not in options_of("cuda", None)
    assert options_of("tensorrt", 5)["trt_max_workspace_size"] == "5"
    assert options_of("openvino", None)["num_of_threads"] == "3"
    assert options_of("cpu", 5) == {}


@pytest.mark.skipif(refusal("openvino") is not None, reason=f"no OpenVINO: {refusal('openvino')}")
def test_openvino_agrees_with_the_cpu():
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    session = open_session(one_node("Sigmoid"), "openvino", require_device=True)
    assert session.device == "openvino"
    # Other polynomials for the exponential: a few last bits.
    np.testing.assert_allclose(session.run(None, {"x": x})[0], 1 / (1 + np.exp(-x)), atol=1e-5)
