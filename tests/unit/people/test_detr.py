from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from support.faults import around
from vrmatte.errors import ConfigError, WeightsError
from vrmatte.people.detr import DETR_MODELS, DetrDetector, open_detr, place_on_device
from vrmatte.settings.config import HardwareConfig

HARDWARE = HardwareConfig(device="cpu", threads=1)
LABELS = {0: "chair", 1: "Person", 2: "dog"}

pytestmark = pytest.mark.filterwarnings("default")  # of torch and transformers


@pytest.mark.parametrize("missing", ["torch", "transformers"])
@pytest.mark.parametrize("name", DETR_MODELS)
def test_without_the_extra_it_is_said_what_to_install(monkeypatch, name, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(WeightsError, match=r"install vrmatte\[detr\]"):
        open_detr(name, HARDWARE)


def test_a_transformers_without_the_network_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="4.40.0"))
    with pytest.raises(WeightsError, match=r"transformers 4\.40\.0 .*update it"):
        open_detr("dfine_nano", HARDWARE)


class _Fixed:
    """A network with fixed answers that keeps what it was shown."""

    device = "cpu"

    def __init__(self, logits, boxes, labels=LABELS):
        self.logits, self.boxes = logits, boxes
        self.config = SimpleNamespace(id2label=labels)

    def eval(self):
        return self

    def __call__(self, pixel_values):
        self.shown = pixel_values
        count = len(pixel_values)
        return SimpleNamespace(
            logits=self.logits.expand(count, -1, -1), pred_boxes=self.boxes.expand(count, -1, -1)
        )


def fixed(labels=LABELS):
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[[-9, 0, 9], [-9, 3, -9], [9, -5, -9.0]]])
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4], [0.9, 0.5, 0.4, 1], [0.1, 0.1, 0.1, 0.1]]])
    return _Fixed(logits, boxes, labels)


def test_persons_come_best_first_in_pixels_of_the_picture():
    (found,) = DetrDetector("test", fixed()).detect(np.zeros((1, 100, 200, 3), np.uint8))
    first, second = found
    assert (first.x0, first.y0, first.x1, first.y1) == pytest.approx((140, 0, 200, 100))
    assert first.score == pytest.approx(1 / (1 + np.exp(-3)))
    assert (second.x0, second.y0, second.x1, second.y1) == pytest.approx((80, 30, 120, 70))
    assert second.score == pytest.approx(0.5)


def test_pictures_are_stretched_and_go_in_as_red_green_blue_from_0_to_1():
    model = fixed()
    picture = np.zeros((2, 320, 160, 3), np.uint8)
    picture[:, 160:] = 51, 102, 204
    assert len(DetrDetector("test", model).detect(picture)) == 2
    assert tuple(model.shown.shape) == (2, 3, 640, 640)
    assert model.shown[1, :, 639, 0].tolist() == pytest.approx([0.2, 0.4, 0.8])
    assert float(model.shown[:, :, :318].max()) == 0


def test_a_network_without_persons_is_refused():
    with pytest.raises(WeightsError, match="no class 'person'"):
        DetrDetector("test", fixed({0: "cat", 1: "face", 2: "dog"}))


def tiny_network(name):
    """A network of the right kind with small random weights."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch").manual_seed(0)
    shared = {
        "id2label": LABELS, "label2id": {label: index for index, label in LABELS.items()},
        "d_model": 32, "encoder_hidden_dim": 32, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_layers": 2,
        "num_queries": 20, "decoder_in_channels": [32, 32, 32],
    }  # fmt: skip
    if name == "rtdetr_v2_r18vd":
        backbone = transformers.RTDetrResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1],
            layer_type="basic", out_features=["stage2", "stage3", "stage4"],
        )  # fmt: skip
        config = transformers.RTDetrV2Config(
            backbone_config=backbone, encoder_in_channels=[16, 16, 32], **shared
        )
        return transformers.RTDetrV2ForObjectDetection(config)
    backbone = transformers.HGNetV2Config(
        hidden_sizes=[16, 16, 32, 32],
        stem_channels=[3, 8, 8], stage_in_channels=[8, 16, 16, 32],
        stage_mid_channels=[8, 8, 8, 16], stage_out_channels=[16, 16, 32, 32],
        stage_num_blocks=[1, 1, 1, 1], stage_numb_of_layers=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.DFineConfig(
        backbone_config=backbone, encoder_in_channels=[16, 32, 32], **shared
    )
    return transformers.DFineForObjectDetection(config)


@pytest.fixture(params=list(DETR_MODELS))
def stored(request, tmp_path, monkeypatch):
    """A user's folder with a small network under the name of a real one."""
    model = tiny_network(request.param).eval()
    model.save_pretrained(tmp_path / request.param)
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    return request.param, tmp_path / request.param, model


def test_a_network_in_the_users_folder_runs(stored, capfd):
    torch = pytest.importorskip("torch")
    name, folder, model = stored
    capfd.readouterr()
    said = []
    detector = open_detr(name, HARDWARE, said.append)
    (notice,) = said
    assert "unverified" in notice.text
    assert str(folder) in notice.text
    picture = np.random.default_rng(0).integers(0, 256, (2, 640, 640, 3)).astype(np.uint8)
    found = DetrDetector(name, detector._model, least_score=0).detect(picture)
    assert tuple(capfd.readouterr()) == ("", "")
    assert [len(people) for people in found] == [20, 20]
    with torch.no_grad():
        pixels = torch.from_numpy(picture).permute(0, 3, 1, 2) / 255
        expected = model(pixel_values=pixels).logits[..., 1].sigmoid()
    scores = [[box.score for box in people] for people in found]
    # The same network twice; only the order of sums may differ.
    assert np.array(scores) == pytest.approx(np.sort(expected.numpy())[:, ::-1], abs=1e-5)
    assert all(0 <= box.x0 <= box.x1 <= 640 for people in found for box in people)


def test_only_safetensors_are_opened(stored, monkeypatch):
    torch = pytest.importorskip("torch")
    name, folder, model = stored
    asked = {}
    load = f"transformers.{type(model).__name__}.from_pretrained"
    around(monkeypatch, load, lambda *_, **how: asked.update(how))
    open_detr(name, HARDWARE)
    assert asked["use_safetensors"] is asked["local_files_only"] is True
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"can't read .*model\.safetensors"):
        open_detr(name, HARDWARE)


def test_a_damaged_file_is_refused(stored):
    name, folder, _ = stored
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:1000])
    with pytest.raises(WeightsError, match="can't be opened"):
        open_detr(name, HARDWARE)


def test_a_file_that_lacks_parts_is_refused(stored):
    pytest.importorskip("safetensors")
    from safetensors.torch import load_file, save_file

    name, folder, _ = stored
    tensors = load_file(folder / "model.safetensors")
    tensors = {key: value for key, value in tensors.items() if "encoder_input_proj" not in key}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match="lacks"):
        open_detr(name, HARDWARE)


@pytest.mark.parametrize("name", DETR_MODELS)
def test_offline_nothing_is_fetched(name, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    said = []
    with pytest.raises(WeightsError, match=f"into VRMATTE_MODELS_DIR/{name}"):
        open_detr(name, HARDWARE, said.append)
    assert said == []


def test_a_fetched_file_must_have_the_known_digest(stored, monkeypatch):
    name, folder, _ = stored
    monkeypatch.delenv("VRMATTE_MODELS_DIR")
    asked = []

    def cached(repository, file, *, revision, local_files_only):
        asked.append((repository, revision, local_files_only))
        if local_files_only:
            raise OSError("not in the cache")
        return str(folder / file)

    monkeypatch.setattr("transformers.utils.hub.cached_file", cached)
    said = []
    if DETR_MODELS[name].sha256 is None:
        assert open_detr(name, HARDWARE, said.append).name == name
        assert "none is known" in said[-1].text
    else:
        with pytest.raises(WeightsError, match="the known one is d18309d0d7ea"):
            open_detr(name, HARDWARE, said.append)
    assert asked[-1] == (DETR_MODELS[name].repository, DETR_MODELS[name].revision, False)
    assert "Apache-2.0" in said[0].text


def test_a_device_pytorch_lacks_is_said_or_refused():
    torch = pytest.importorskip("torch")
    model, said = torch.nn.Linear(1, 1), []
    place_on_device(model, "test", HardwareConfig(device="directml", threads=1), said.append)
    (notice,) = said
    assert "CPU instead" in notice.text
    with pytest.raises(ConfigError, match="device directml"):
        place_on_device(
            model, "test", HardwareConfig(device="directml", require_device=True), said.append
        )
