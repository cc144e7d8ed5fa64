from __future__ import annotations

import sys

import pytest

from unit.people.test_yolov8 import exported, one_person
from vrmatte.people.yolox import open_detector
from vrmatte.progress import Notice
from vrmatte.settings.config import Config


def config(model):
    hardware = {"device": "cpu", "threads": 1}
    return Config.model_validate({"detection": {"model": model}, "hardware": hardware})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder of networks; there is nothing else on the machine, and no network."""
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    monkeypatch.setenv("VRMATTE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def texts(events):
    return [event.text for event in events if isinstance(event, Notice)]


def test_an_exported_yolov8_is_used(folder):
    (folder / "yolov8n.onnx").write_bytes(exported(one_person()))
    events = []
    detector = open_detector(config("yolov8n"), events.append)
    assert (detector.name, detector.input_px) == ("yolov8n", 64)
    (notice,) = texts(events)
    assert "AGPL-3.0" in notice


@pytest.mark.parametrize("broken", ["yolov8n.pt", "yolov8n.onnx"])
def test_a_refused_file_leads_to_the_default_detector(folder, broken):
    (folder / broken).write_bytes(b"something else")
    events = []
    # Its weights aren't here either: nobody can be looked for, and both reasons are said.
    assert open_detector(config("yolov8n"), events.append) is None
    first, second = texts(events)
    assert broken in first
    assert first.endswith("yolox_nano (Apache-2.0) finds the people instead")
    assert "yolox_nano.onnx" in second


@pytest.mark.weights
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("yolov8m", "AGPL-3.0"),
        ("rtdetr_v2_r18vd", "vrmatte[detr]"),
        ("dfine_nano", "vrmatte[detr]"),
    ],
)
def test_what_is_not_there_is_replaced_by_the_default_detector(
    models_dir, tmp_path, monkeypatch, model, words
):
    monkeypatch.setenv("VRMATTE_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    events = []
    assert open_detector(config(model), events.append).name == "yolox_nano"
    (notice,) = texts(events)
    assert model in notice
    assert words in notice
