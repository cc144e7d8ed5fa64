import dataclasses
import json
import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pydantic import TypeAdapter

from support.faults import around
from support.matting.played_devices import play_device
from support.matting.sam2_networks import tiny_model
from vrmatte.errors import ConfigError, WeightsError
from vrmatte.matting.base import EngineChoice
from vrmatte.matting.engines.choose import (
    RVM_WEIGHTS,
    SELFIE_WEIGHTS,
    choose_engine,
    load_engine,
    network_scale,
)
from vrmatte.matting.engines.masked import MaskedEngine
from vrmatte.models import devices
from vrmatte.models.rvm_cut import UnknownGraphError
from vrmatte.progress import Notice
from vrmatte.settings.config import Config


def config_of(engine="auto", **processing) -> Config:
    return Config.model_validate(
        {
            "matting": {"engine": engine},
            "processing": processing,
            "hardware": {"device": "cpu"},
        }
    )


@pytest.fixture
def own_dir(models_dir, tmp_path, monkeypatch):
    """An empty weights folder, an empty cache, no network."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    return folder


@pytest.mark.parametrize("engine", ["auto", "rvm"])
def test_rvm_where_its_weights_are(models_dir, engine):
    told = []
    choice = choose_engine(config_of(engine), told.append)
    assert (choice.name, choice.weights_name) == ("rvm", RVM_WEIGHTS)
    assert choice.licence == "GPL-3.0-only"
    assert any("GPL-3.0" in text for text in choice.notices)
    assert [event.text for event in told if isinstance(event, Notice)] == list(choice.notices)


def test_selfie_when_asked_for(models_dir):
    choice = choose_engine(config_of("selfie"))
    assert (choice.name, choice.licence, choice.verified) == ("selfie", "Apache-2.0", True)
    assert choice.notices == ()


def test_weights_of_another_digest_are_told(own_dir, models_dir):
    (own_dir / RVM_WEIGHTS).write_bytes(b"something else")
    choice = choose_engine(config_of("rvm"))
    assert not choice.verified
    assert any("unverified weights" in text for text in choice.notices)


def test_auto_goes_to_selfie_with_a_warning(own_dir, models_dir):
    shutil.copy(models_dir / SELFIE_WEIGHTS, own_dir)
    told = []
    choice = choose_engine(config_of("auto"), told.append)
    assert choice.name == "selfie"
    warnings = [event for event in told if isinstance(event, Notice) and event.level == "warning"]
    assert [event.text for event in warnings] == list(choice.notices)
    assert RVM_WEIGHTS in choice.notices[0]


def test_without_weights_rvm_is_refused(own_dir):
    with pytest.raises(WeightsError, match=re.escape(RVM_WEIGHTS)):
        choose_engine(config_of("rvm"))


@pytest.mark.parametrize("engine", ["auto", "selfie"])
def test_without_weights_the_included_ones_are_used(own_dir, engine):
    choice = choose_engine(config_of(engine))
    assert (choice.name, choice.verified) == ("selfie", True)


def test_rvm_asked_for_by_name_is_never_replaced(own_dir, models_dir):
    shutil.copy(models_dir / SELFIE_WEIGHTS, own_dir)
    with pytest.raises(WeightsError, match="rvm"):
        choose_engine(config_of("rvm"))


@pytest.mark.parametrize("engine", ["rvm", "selfie"])
def test_a_choice_travels_and_opens(models_dir, engine):
    choice = choose_engine(config_of(engine))
    assert pickle.loads(pickle.dumps(choice)) == choice
    told = json.loads(json.dumps(dataclasses.asdict(choice)))
    copy = EngineChoice(**{**told, "notices": tuple(told["notices"])})
    loaded = load_engine(copy, config_of(engine))
    assert loaded.name == engine
    found = loaded.infer("eye", np.full((2, 3, 48, 64), 0.5, np.float32))
    assert found.slope.shape == found.offset.shape == (2, 48, 64)
    assert found.slope.dtype == found.offset.dtype == np.float32


@pytest.mark.parametrize(("parallel", "batches"), [(False, [1, 1]), (True, [2])])
def test_settings_reach_the_engine(models_dir, monkeypatch, parallel, batches):
    config = config_of("rvm", parallel_eyes=parallel)
    engine = load_engine(choose_engine(config), config)
    seen = []
    step = "vrmatte.matting.engines.rvm.CutNetwork.step"
    around(monkeypatch, step, lambda *of: seen.append(len(of[1])))
    engine.infer("eye", np.full((2, 3, 32, 32), 0.5, np.float32))
    assert seen == batches
    # The first memory has half the network's resolution, one for each picture.
    assert engine.state()["eye/r1"].shape == (2, 16, 16, 16)


def test_weights_that_changed_or_went_are_refused(own_dir, models_dir):
    path = own_dir / SELFIE_WEIGHTS
    shutil.copy(models_dir / SELFIE_WEIGHTS, path)
    choice = choose_engine(config_of("selfie"))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(WeightsError, match="changed"):
        load_engine(choice, config_of("selfie"))
    path.unlink()
    with pytest.raises(WeightsError, match="can't read"):
        load_engine(choice, config_of("selfie"))


def test_a_device_that_must_be_there(models_dir):
    config = Config.model_validate(
        {"matting": {"engine": "rvm"}, "hardware": {"device": "tensorrt", "require_device": True}}
    )
    with pytest.raises(ConfigError, match="tensorrt"):
        load_engine(choose_engine(config), config)


@pytest.mark.parametrize(
    ("asked", "eye_px", "scale"),
    [
        ("auto", 1024, 0.5),
        ("auto", 1536, 0.5),
        ("auto", 3072, 0.25),
        ("auto", 4096, 0.1875),
        (1.0, 4096, 1.0),
        (0.25, 512, 0.25),
    ],
)
def test_network_scale(asked, eye_px, scale):
    assert network_scale(config_of(scale_factor=asked), eye_px) == pytest.approx(scale)


def half_config(fp16=True, **hardware) -> Config:
    return Config.model_validate(
        {"matting": {"engine": "rvm", "fp16": fp16}, "hardware": {"device": "coreml", **hardware}}
    )


@pytest.fixture
def coreml_played_by_the_cpu(monkeypatch):
    """A device that gains from half precision; what it computes is the CPU's."""
    refusal = devices.refusal

    def refused(device):
        return None if device == "coreml" else refusal(device)

    play_device(monkeypatch, "coreml", "CPUExecutionProvider", refused)


def test_half_precision_where_the_device_gains_from_it(models_dir, coreml_played_by_the_cpu):
    half, single = choose_engine(half_config()), choose_engine(half_config(fp16=False))
    assert (half.precision, single.precision) == ("fp16", "fp32")
    engine = load_engine(half, half_config())
    assert engine.provider.endswith("half precision with fp32 states")
    assert "half" not in load_engine(single, half_config()).provider
    engine.infer("eye", np.full((2, 3, 32, 32), 0.5, np.float32))
    assert {tensor.dtype for tensor in engine.state().values()} == {np.dtype(np.float32)}


def test_a_graph_that_cant_be_halved_runs_in_full_precision(
    own_dir, models_dir, coreml_played_by_the_cpu, monkeypatch
):
    def refuse(_):
        raise UnknownGraphError("no guide")

    around(monkeypatch, "vrmatte.matting.engines.rvm.halved_rvm", refuse)
    shutil.copy(models_dir / RVM_WEIGHTS, own_dir)
    choice = choose_engine(half_config())
    assert choice.precision == "fp32"
    assert any("runs in fp32, since the graph's structure" in text for text in choice.notices)


@pytest.mark.skipif(devices.resolve_device("auto").device != "cpu", reason="this machine has a GPU")
def test_half_precision_has_no_effect_on_the_cpu(models_dir):
    told = []
    asked = Config.model_validate({"matting": {"engine": "rvm", "fp16": True}})
    assert choose_engine(asked, told.append).precision == "fp32"
    assert any("fp16 = true has no effect on cpu" in event.text for event in told)
    told.clear()
    choose_engine(Config(), told.append)
    assert not any("fp16" in event.text for event in told), "nobody asked for it"


@pytest.mark.parametrize(("refiner", "weights"), [("rvm", RVM_WEIGHTS), ("guided", "brightness")])
def test_masks_with_a_refiner_on_top(models_dir, refiner, weights):
    matting = {"engine": "sam2", "mask_model": "brightness", "refiner": refiner}
    config = Config.model_validate({"matting": matting, "hardware": {"device": "cpu"}})
    choice = choose_engine(config)
    assert (choice.name, choice.weights_name, choice.refiner) == ("sam2", weights, refiner)
    travelled = TypeAdapter(EngineChoice).validate_python(
        json.loads(json.dumps(dataclasses.asdict(choice)))
    )
    assert travelled == choice
    engine = load_engine(choice, config)
    assert isinstance(engine, MaskedEngine)
    assert "NumPy" in engine.provider
    pictures = np.full((2, 3, 48, 64), 0.5, np.float32)
    assert engine.infer("eye", pictures).slope.shape == (2, 48, 64)


@pytest.fixture
def masks_at_hand(models_dir, tmp_path, monkeypatch):
    """A folder with a tiny network under the name of the default mask model, and RVM's weights."""
    folder = tmp_path / "models"
    tiny_model().save_pretrained(folder / "sam2.1_hiera_tiny")
    (folder / RVM_WEIGHTS).symlink_to(models_dir / RVM_WEIGHTS)
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(folder))


def masks_gain_from_half(monkeypatch, gains, notice=None):
    path = "vrmatte.matting.engines.choose.half_precision"
    monkeypatch.setattr(path, lambda *_: (gains, notice))


@pytest.mark.parametrize(
    ("refiner", "fp16", "gains", "precision"),
    [
        ("guided", True, True, "bf16"),
        ("guided", False, True, "fp32"),
        ("guided", True, False, "fp32"),
        ("rvm", True, True, "fp16+bf16"),
        ("rvm", True, False, "fp16"),
        ("rvm", False, True, "fp32"),
    ],
)
def test_each_network_has_the_precision_its_own_device_gains_from(
    models_dir,
    masks_at_hand,
    coreml_played_by_the_cpu,
    monkeypatch,
    refiner,
    fp16,
    gains,
    precision,
):
    """What is said of both shapes the keys of mattes, so the networks must run as it says."""
    opened = []
    path = "vrmatte.matting.engines.choose"
    told = None if gains else "this GPU lacks it"
    masks_gain_from_half(monkeypatch, gains, told)
    around(monkeypatch, f"{path}.open_mask_source", lambda *_, **how: opened.append(how))
    matting = {"engine": "sam2", "refiner": refiner, "fp16": fp16}
    config = Config.model_validate({"matting": matting, "hardware": {"device": "coreml"}})
    choice = choose_engine(config)
    assert choice.precision == precision
    assert (told in choice.notices) == (fp16 and not gains)
    engine = load_engine(choice, config)
    assert opened[0]["half"] == ("bf16" in precision)
    assert ("half precision" in engine.provider) == ("fp16" in precision)


def test_masks_in_half_precision_beside_a_network_that_is_not(
    models_dir, masks_at_hand, monkeypatch
):
    """PyTorch has a GPU here and ONNX Runtime none."""
    masks_gain_from_half(monkeypatch, True)
    choice = choose_engine(config_of("sam2"))
    assert (choice.refiner, choice.precision) == ("rvm", "bf16")


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_without_the_extra_one_line_says_which(models_dir, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=r"install vrmatte\[sam2\]") as caught:
        choose_engine(config_of("sam2"))
    assert "\n" not in str(caught.value)


def test_without_weights_one_line_says_where_they_come_from(own_dir):
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError, match=r"sam2\.1_hiera_tiny\.safetensors.*https?://") as caught:
        choose_engine(config_of("sam2"))
    assert "\n" not in str(caught.value)


def test_no_other_engine_needs_pytorch(models_dir):
    """In a process of its own in which PyTorch and transformers can't be imported."""
    script = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
import vrmatte, vrmatte.cli.main, vrmatte.pipeline, vrmatte.commands.run
from vrmatte.settings.config import Config
from vrmatte.matting.engines.choose import choose_engine, load_engine
config = Config.model_validate({"matting": {"engine": "selfie"}})
print(load_engine(choose_engine(config), config).name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "selfie"
