"""Opening networks from files: small ones of the real classes, stored as the hub stores them."""

from __future__ import annotations

import json
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from support.faults import around
from support.matting.sam2_networks import box_of, moving_pictures, tiny_model
from vrmatte.errors import ConfigError, WeightsError
from vrmatte.masks import sam2_loading
from vrmatte.masks.sam2_loading import open_mask_source, require_packages
from vrmatte.masks.sam2_models import MASK_MODELS
from vrmatte.masks.sam2_network import Sam2Network
from vrmatte.masks.sam2_source import Sam2Source
from vrmatte.masks.sam2_weights import choose_mask_weights
from vrmatte.models.registry import find_weights
from vrmatte.settings.config import HardwareConfig

pytestmark = pytest.mark.filterwarnings("default")  # of torch and transformers

HARDWARE = HardwareConfig(device="cpu", threads=1)
NAMES = "sam2.1_hiera_tiny", "sam3_tracker"
"""EdgeTAM's picture encoder comes from timm, which isn't there."""


@pytest.fixture(autouse=True)
def _no_network(tmp_path, monkeypatch):
    """Nothing may be asked of the hub, nor be there by chance."""
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    around(monkeypatch, "socket.socket.connect", refuse)


@pytest.fixture(params=NAMES)
def stored(request, tmp_path):
    """A user's folder with a small network under the name of a real one."""
    model = tiny_model(request.param)
    model.save_pretrained(tmp_path / request.param)
    return request.param, tmp_path / request.param, model


def shown(source):
    found = [
        source.masks("view", frame, [box_of(1)] if at == 0 else [])
        for at, frame in enumerate(moving_pictures(3))
    ]
    return np.stack([masks[1] for masks in found])


def test_a_stored_network_follows_as_the_one_it_was_stored_from(stored, capfd):
    name, _, model = stored
    capfd.readouterr()
    source = open_mask_source(choose_mask_weights(name), HARDWARE)
    assert (source.name, source.provider) == (name, "PyTorch on the CPU")
    expected = Sam2Source("stored", Sam2Network(model, MASK_MODELS[name]))
    np.testing.assert_array_equal(shown(source), shown(expected))
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_file_that_lacks_parts_is_refused(stored):
    from safetensors.torch import load_file, save_file

    name, folder, _ = stored
    tensors = load_file(folder / "model.safetensors")
    tensors = {key: value for key, value in tensors.items() if "memory_encoder" not in key}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=rf"lacks \d+ parts of {name}"):
        open_mask_source(choose_mask_weights(name), HARDWARE)


def test_a_damaged_file_is_refused(stored):
    name, folder, _ = stored
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="can't be opened"):
        open_mask_source(choose_mask_weights(name), HARDWARE)


def test_weights_of_another_shape_are_refused(stored):
    """Without settings beside it a file is taken for the network of that name."""
    name, folder, _ = stored
    (folder / "config.json").unlink()
    if MASK_MODELS[name].backbone is None:
        with pytest.raises(WeightsError, match=r"lacks config\.json"):
            choose_mask_weights(name)
        return
    with pytest.raises(WeightsError, match=r"can't be opened|lacks"):
        open_mask_source(choose_mask_weights(name), HARDWARE)


def test_settings_that_ask_for_foreign_code_run_none(stored):
    name, folder, _ = stored
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(settings))
    mark = folder / "was_run"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    open_mask_source(choose_mask_weights(name), HARDWARE)
    assert not mark.exists()


@pytest.mark.parametrize("name", [n for n, m in MASK_MODELS.items() if m.backbone is not None])
def test_a_networks_shape_is_that_of_its_registered_file(name, tmp_path):
    """Its names and sizes make up the registered file to the byte."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    about = MASK_MODELS[name]
    with torch.device("meta"):
        model = transformers.Sam2VideoModel(
            sam2_loading.network_settings(about, tmp_path / "model.safetensors")
        )
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for key, tensor in sorted(model.state_dict().items()):
        after = at + 4 * tensor.numel()
        header[key] = {
            "dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, after]
        }  # fmt: skip
        at = after
    head_bytes = len(json.dumps(header, separators=(",", ":")))
    file_bytes = 8 + head_bytes + -head_bytes % 8 + at
    # As published, in millions: facebookresearch/sam2's README.
    published = {"tiny": 38.9, "small": 46.0, "base_plus": 80.8, "large": 224.4}
    millions = published[name.removeprefix("sam2.1_hiera_")]
    assert sum(weights.numel() for weights in model.parameters()) / 1e6 == pytest.approx(
        millions, abs=0.1
    )
    if about.weights_file is not None:
        assert find_weights(about.weights_file).size_bytes == file_bytes


@pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed")
def test_a_package_beyond_the_extra_is_named():
    pytest.importorskip("torch")
    with pytest.raises(ConfigError, match="pip install timm"):
        require_packages("edgetam")


def test_a_device_pytorch_lacks_is_said_or_refused(stored):
    name, said = stored[0], []
    chosen = choose_mask_weights(name)
    source = open_mask_source(
        chosen, HardwareConfig(device="directml", threads=1), observer=said.append
    )
    assert source.provider == "PyTorch on the CPU"
    assert "CPU instead" in said[-1].text
    with pytest.raises(ConfigError, match="device directml"):
        open_mask_source(chosen, HardwareConfig(device="directml", require_device=True, threads=1))


class _Placed:
    """Takes note of where it was moved."""

    def to(self, device):
        self.device = device


@pytest.mark.parametrize(("asked_gb", "share"), [(10, 0.25), (100, 1.0), (None, None)])
def test_gpu_memory_is_limited_to_what_was_asked(asked_gb, share):
    pytest.importorskip("torch")
    told = []
    cuda = SimpleNamespace(
        is_available=lambda: True,
        get_device_properties=lambda _: SimpleNamespace(total_memory=40_000_000_000),
        set_per_process_memory_fraction=told.append,
    )
    model, hardware = _Placed(), HardwareConfig(device="cuda", max_vram_gb=asked_gb, threads=1)
    assert sam2_loading._placed(model, "tiny", hardware, told.append, cuda)
    assert model.device == "cuda"
    assert told == ([] if share is None else [share])


@pytest.mark.parametrize("has_it", [True, False])
def test_half_precision_needs_a_gpu_that_has_bfloat16_itself(has_it):
    cuda = SimpleNamespace(
        is_available=lambda: True,
        is_bf16_supported=lambda including_emulation: has_it or including_emulation,
    )
    gains, notice = sam2_loading.half_precision("tiny", HardwareConfig(), cuda)
    assert gains == has_it
    assert (notice is None) == has_it
    on_cpu = HardwareConfig(device="cpu")
    assert sam2_loading.half_precision("tiny", on_cpu, cuda) == (False, None)
    without_gpu = SimpleNamespace(is_available=lambda: False)
    assert sam2_loading.half_precision("tiny", HardwareConfig(), without_gpu) == (False, None)
