import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from vrmatte.errors import ConfigError, VrmatteError, WeightsError
from vrmatte.models import devices
from vrmatte.models.devices import cpu_threads, refusal, resolve_device
from vrmatte.models.ort import available_providers
from vrmatte.models.runtime import open_session

CPU = "CPUExecutionProvider"
ABSENT = next(
    device for device in ("coreml", "directml", "tensorrt") if refusal(device) is not None
)
"""A device that this machine can't have: no machine has all three."""


def network(inputs: int = 1) -> bytes:
    """y_k = 2 x_k + 1; all sizes share one symbolic name, as the states of RVM do."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = []
    for k in range(inputs):
        nodes.append(helper.make_node("Add", [f"x{k}", f"x{k}"], [f"d{k}"]))
        nodes.append(helper.make_node("Add", [f"d{k}", "one"], [f"y{k}"]))
    shape = ["batch", "channels", "height", "width"]
    values = {
        letter: [
            helper.make_tensor_value_info(f"{letter}{k}", TensorProto.FLOAT, shape)
            for k in range(inputs)
        ]
        for letter in "xy"
    }
    graph = helper.make_graph(nodes, "test", values["x"], values["y"], [one])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    return model.SerializeToString()


def test_a_network_runs_from_bytes_and_from_a_file(tmp_path):
    (tmp_path / "net.onnx").write_bytes(network())
    x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    for model in (network(), tmp_path / "net.onnx"):
        session = open_session(model, "cpu", threads=1)
        assert session.provider == CPU
        assert session.notes == ()
        (y,) = session.run(["y0"], {"x0": x})
        np.testing.assert_array_equal(y, 2 * x + 1)


def test_session_options_are_those_measured():
    options = open_session(network(), "cpu", threads=1).raw.get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern
    assert options.use_deterministic_compute
    assert options.log_severity_level >= 3
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_states_of_other_sizes_under_one_symbolic_name_are_kept_apart(capfd):
    session = open_session(network(inputs=4), "cpu", threads=1)
    for side in (4, 6, 4):
        feeds = {
            f"x{k}": np.full((1, 2 + k, max(1, side >> k), side), k, np.float32) for k in range(4)
        }
        results = session.run(None, feeds)
        for k, y in enumerate(results):
            np.testing.assert_array_equal(y, 2 * feeds[f"x{k}"] + 1)
    assert capfd.readouterr() == ("", "")


def test_auto_ends_at_something_that_works_and_says_why():
    choice = resolve_device("auto", require_device=True)
    assert choice.providers[-1] == CPU
    assert choice.notices == ()
    assert refusal(choice.device) is None
    if choice.device == "cpu":
        assert [reason.split(":")[0] for reason in choice.reasons] == ["cuda", "directml"]
    session = open_session(network())
    assert session.notes == choice.reasons


def test_the_cpu_always_works():
    assert resolve_device("cpu", require_device=True) == devices.DeviceChoice("cpu", (CPU,))
    assert CPU in available_providers()


def test_a_missing_device_gives_a_notice_and_the_cpu(capfd):
    choice = resolve_device(ABSENT)
    assert choice.device == "cpu"
    (notice,) = choice.notices
    assert notice.startswith(f"device {ABSENT}: ")
    assert notice.endswith("networks run on the CPU instead, slower")
    session = open_session(network(), ABSENT)
    assert session.provider == CPU
    assert session.notes == choice.reasons
    assert capfd.readouterr() == ("", "")


def test_a_missing_device_that_is_required_is_an_error():
    with pytest.raises(ConfigError, match=f"device {ABSENT}: .*choose device: auto or cpu"):
        resolve_device(ABSENT, require_device=True)
    with pytest.raises(ConfigError, match=f"device {ABSENT}"):
        open_session(network(), ABSENT, require_device=True)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_is_built_in_but_fails_is_refused_quietly(monkeypatch, capfd):
    """A build that claims CUDA on a machine without it: the session itself must be tried."""
    if "CUDAExecutionProvider" in available_providers():
        pytest.skip("this ONNX Runtime really knows CUDA")
    monkeypatch.setattr(devices, "available_providers", lambda: ("CUDAExecutionProvider", CPU))
    reason = refusal.__wrapped__("cuda")
    assert reason is not None
    assert reason.startswith("CUDAExecutionProvider fails: it could not be loaded")
    assert "\n" not in reason
    assert capfd.readouterr().out == ""


def test_a_file_that_is_no_network_is_named(tmp_path, capfd):
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    with pytest.raises(WeightsError, match=r"net\.onnx isn't an ONNX file"):
        open_session(tmp_path / "net.onnx", "cpu")
    with pytest.raises(WeightsError, match="the network isn't an ONNX file"):
        open_session(b"not a network", "cpu")
    with pytest.raises(WeightsError, match=r"can't read .*absent\.onnx"):
        open_session(tmp_path / "absent.onnx", "cpu")
    with pytest.raises(WeightsError, match="the network can't be run by ONNX Runtime"):
        open_session(b"", "cpu")
    assert capfd.readouterr() == ("", "")


def test_a_failing_run_is_named():
    session = open_session(network(), "cpu")
    with pytest.raises(VrmatteError, match=f"failed on {CPU}"):
        session.run(None, {"x0": np.zeros((1, 1), np.float32)})
    with pytest.raises(VrmatteError, match="failed on"):
        session.run(None, {"unknown": np.zeros((1, 1, 1, 1), np.float32)})


def test_threads_are_as_asked_or_the_cores_this_process_may_use():
    assert cpu_threads(3) == 3
    assert 1 <= cpu_threads() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processor affinity")
def test_threads_stay_within_the_affinity():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert cpu_threads() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.weights
def test_rvm_runs_the_same_twice_and_after_another_size(capfd):
    folder = os.environ.get("VRMATTE_MODELS_DIR")
    path = Path(folder or "", "rvm_mobilenetv3_fp32.onnx")
    if not folder or not path.is_file():
        pytest.skip("needs rvm_mobilenetv3_fp32.onnx in VRMATTE_MODELS_DIR")
    session = open_session(path, "cpu", threads=2)

    def mattes(side: int) -> np.ndarray:
        frames = np.random.default_rng(side).random((3, 1, 3, side, side), dtype=np.float32)
        states = {f"r{k}i": np.zeros((1, 1, 1, 1), np.float32) for k in range(1, 5)}
        ratio = np.array([0.5], np.float32)
        for frame in frames:
            feeds = {"src": frame, "downsample_ratio": ratio, **states}
            matte, *new = session.run(["pha", "r1o", "r2o", "r3o", "r4o"], feeds)
            states = {f"r{k}i": state for k, state in enumerate(new, 1)}
        return matte

    first = mattes(192)
    assert mattes(256).shape == (1, 1, 256, 256)
    np.testing.assert_array_equal(mattes(192), first)
    assert capfd.readouterr() == ("", "")


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu():
    if refusal("cuda") is not None:
        pytest.skip(f"needs CUDA: {refusal('cuda')}")
    x = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    session = open_session(network(), "cuda", require_device=True)
    assert session.provider == "CUDAExecutionProvider"
    # 2x + 1 has no rounding to disagree about beyond the last bit.
    np.testing.assert_allclose(session.run(None, {"x0": x})[0], 2 * x + 1, rtol=1e-6)
