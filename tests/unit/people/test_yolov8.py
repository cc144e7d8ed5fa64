from __future__ import annotations

import hashlib
import os
import pickle
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vrmatte.errors import WeightsError
from vrmatte.models.runtime import open_session
from vrmatte.people.yolov8 import YOLOV8_SHA256, YoloV8Detector, open_yolov8
from vrmatte.settings.config import HardwareConfig

SIZE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2
OPEN_NETWORK = partial(open_session, device="cpu", threads=1)
HARDWARE = HardwareConfig(device="cpu", threads=1)


def exported(rows, *, batch=1, side=SIZE, channel=None, names=None, kind=TensorProto.FLOAT):
    """An ONNX file with YOLOv8's interface and a fixed answer, times a channel's mean if given."""
    weights = np.eye(3)[channel] if channel is not None else np.zeros(3)
    shape = [batch, 3, side, side]
    answer = [batch, *rows.shape]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["of_channel"]),
            helper.make_node("Add", ["of_channel", "bias"], ["level"]),
            helper.make_node("Reshape", ["level", "one_each"], ["levels"]),
            helper.make_node("Mul", ["rows", "levels"], ["output0"]),
        ],
        "fixed",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, answer)],
        [
            numpy_helper.from_array(rows[None].astype(np.float32), "rows"),
            numpy_helper.from_array(weights.reshape(3, 1).astype(np.float32), "weights"),
            numpy_helper.from_array(np.float32([channel is None]), "bias"),
            numpy_helper.from_array(np.array([-1, 1, 1], np.int64), "one_each"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    if names is not None:
        helper.set_model_props(model, {"names": names})
    return model.SerializeToString()


def empty_rows(cells=CELLS, classes=80):
    return np.zeros((4 + classes, cells), np.float32)


def one_person(score=0.9, box=(32, 16, 20, 10)):
    """Rows with one person: centre and size of the box in pixels of the network."""
    rows = empty_rows()
    rows[:5, 7] = *box, score
    return rows


def pictures(count=1, height=SIZE, width=SIZE):
    return np.zeros((count, height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder of networks; there is nothing else on the machine."""
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VRMATTE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def opened(folder, content, name="yolov8n", said=None):
    (folder / f"{name}.onnx").write_bytes(content)
    observer = (lambda event: None) if said is None else said.append
    return open_yolov8(name, HARDWARE, OPEN_NETWORK, observer)


def corners(box):
    return box.x0, box.y0, box.x1, box.y1


def test_centres_and_sizes_become_corners(folder):
    detector = opened(folder, exported(one_person()))
    assert (detector.name, detector.input_px) == ("yolov8n", SIZE)
    (box,) = detector.detect(pictures())[0]
    assert corners(box) == pytest.approx((22, 11, 42, 21))
    assert box.score == pytest.approx(0.9)


def test_an_export_at_full_size_is_opened_without_ultralytics(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ultralytics", None)
    rows = empty_rows(8400)
    rows[:5, 8000] = 320, 320, 100, 200, 0.8
    detector = opened(folder, exported(rows, side=640), "yolov8s")
    assert detector.input_px == 640
    (box,) = detector.detect(pictures(1, 640, 640))[0]
    assert corners(box) == pytest.approx((270, 220, 370, 420))


def test_of_boxes_on_each_other_the_best_stays_and_others_are_left_out(folder):
    rows = one_person(0.6)
    rows[:5, 8] = 33, 16, 20, 10, 0.9
    rows[:4, 9] = 10, 50, 8, 8
    rows[5, 9] = 0.9  # not a person
    rows[:5, 10] = 50, 50, 8, 8, 0.05  # too unlikely
    (box,) = opened(folder, exported(rows)).detect(pictures())[0]
    assert box.score == pytest.approx(0.9)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (64, 128)])
def test_pictures_of_other_shapes_lie_in_the_middle(folder, height, width):
    rows = one_person(box=(32, 32, 64, 32))
    (box,) = opened(folder, exported(rows)).detect(pictures(1, height, width))[0]
    # The network saw 16 rows of grey above the picture and 16 below.
    assert corners(box) == pytest.approx((0, 0, width, height))


@pytest.mark.parametrize("batch", [1, "batch"])
def test_many_pictures_one_by_one_or_at_once(folder, batch):
    found = opened(folder, exported(one_person(), batch=batch)).detect(pictures(3))
    assert len(found) == 3
    assert found[0] == found[1] == found[2] != []


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_pictures_go_in_as_red_green_blue_from_0_to_1(folder, channel):
    rgb = np.array([51, 102, 204], np.uint8)
    detector = opened(folder, exported(one_person(1, (0, 0, 99, 99)), channel=channel))
    (box,) = detector.detect(pictures() + rgb)[0]
    assert box.score == pytest.approx(rgb[channel] / 255, rel=1e-4)


def test_what_a_picture_leaves_free_is_grey(folder):
    detector = opened(folder, exported(one_person(1, (0, 0, 999, 999)), channel=0))
    (box,) = detector.detect(pictures(1, 32, 64) + np.uint8(200))[0]
    assert box.score == pytest.approx((200 + 114) / 2 / 255, rel=1e-4)


def test_open_sizes_are_taken_as_640(folder):
    content = exported(empty_rows(8400), batch="batch", side="side")
    assert opened(folder, content).input_px == 640


def test_the_person_class_is_found_by_the_names_in_the_file(folder):
    rows = empty_rows(classes=3)
    rows[:, 7] = 32, 16, 20, 10, 0.2, 0.9, 0.3
    names = "{0: 'cat', 1: 'person', 2: 'dog'}"
    (box,) = opened(folder, exported(rows, names=names)).detect(pictures())[0]
    assert box.score == pytest.approx(0.9)
    with pytest.raises(WeightsError, match="no class 'person'"):
        opened(folder, exported(rows, names="{0: 'cat', 1: 'face', 2: 'dog'}"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (exported(np.zeros((300, 6))), "without nms"),
        (exported(empty_rows(CELLS + 1)), "without nms"),
        (exported(empty_rows(), kind=TensorProto.FLOAT16), "full precision"),
        (b"no network", "isn't an ONNX file"),
    ],
)
def test_what_is_not_yolov8_is_refused_when_it_is_opened(folder, content, words):
    with pytest.raises(WeightsError, match=words):
        opened(folder, content)


def test_the_licence_and_the_unknown_digest_are_said(folder):
    said, content = [], exported(one_person())
    opened(folder, content, "yolov8m", said)
    (notice,) = said
    for words in (
        "AGPL-3.0",
        "unverified",
        "yolov8m.onnx",
        hashlib.sha256(content).hexdigest()[:12],
    ):
        assert words in notice.text


@pytest.mark.parametrize("place", ["cache/models", "cache/models/unverified"])
def test_files_in_the_cache_are_found_too(folder, place):
    (folder / place).mkdir(parents=True)
    assert opened(folder / place, exported(one_person())).name == "yolov8n"


def test_without_a_file_it_is_said_which_are_taken(folder):
    with pytest.raises(WeightsError) as caught:
        open_yolov8("yolov8s", HARDWARE, OPEN_NETWORK)
    for words in ("yolov8s.onnx", "yolov8s.pt", "vrmatte[yolo]", "VRMATTE_MODELS_DIR", "AGPL-3.0"):
        assert words in str(caught.value)


class _WritesWhenOpened:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_an_unknown_pt_file_is_never_opened(folder):
    trace = folder / "it ran"
    (folder / "yolov8n.pt").write_bytes(pickle.dumps(_WritesWhenOpened(str(trace))))
    with pytest.raises(WeightsError, match=r"yolov8n\.onnx where you trust it") as caught:
        open_yolov8("yolov8n", HARDWARE, OPEN_NETWORK)
    assert YOLOV8_SHA256["yolov8n"][:12] in str(caught.value)
    assert not trace.exists()


def known_pt(folder, monkeypatch, content, name="yolov8n"):
    """A .pt file whose digest is taken for that of the official one."""
    (folder / f"{name}.pt").write_bytes(content)
    monkeypatch.setitem(YOLOV8_SHA256, name, hashlib.sha256(content).hexdigest())


def test_a_known_pt_file_needs_the_extra(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ultralytics", None)
    known_pt(folder, monkeypatch, b"weights")
    with pytest.raises(WeightsError, match=r"install vrmatte\[yolo\], or export"):
        open_yolov8("yolov8n", HARDWARE, OPEN_NETWORK)


@pytest.fixture
def sure_checkpoint(folder, monkeypatch, tmp_path_factory):
    """A real YOLOv8n of random weights that sees people here and there, as a known .pt file."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path_factory.mktemp("ultralytics")))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    ultralytics = pytest.importorskip("ultralytics")
    pytest.importorskip("torch").manual_seed(0)
    network = ultralytics.YOLO("yolov8n.yaml", task="detect")
    network.model.names[0] = "person"
    for scale in network.model.model[-1].cv3:
        scale[-1].bias.data[0] = 0
        scale[-1].weight.data[0] *= 1000
    network.save(folder / "yolov8n.pt")
    known_pt(folder, monkeypatch, (folder / "yolov8n.pt").read_bytes())
    return network


@pytest.mark.filterwarnings("default")
def test_a_known_pt_file_runs_through_ultralytics(sure_checkpoint, capfd):
    said = []
    detector = open_yolov8("yolov8n", HARDWARE, OPEN_NETWORK, said.append)
    (notice,) = said
    assert "AGPL-3.0" in notice.text
    assert isinstance(detector, YoloV8Detector)
    frame = np.random.default_rng(0).integers(0, 256, (1, 640, 640, 3)).astype(np.uint8)
    (found,) = detector.detect(frame)
    assert tuple(capfd.readouterr()) == ("", "")
    # Its own way through letterbox, network and thinning finds the same people.
    (expected,) = sure_checkpoint.predict(
        np.ascontiguousarray(frame[0, ..., ::-1]),
        imgsz=640, classes=[0], iou=0.45, conf=0.1, max_det=9999, verbose=False,
    )  # fmt: skip
    assert len(expected.boxes) > 5
    for box, score, own in zip(expected.boxes.xyxy, expected.boxes.conf, found[:5], strict=False):
        # A layer folded into its neighbour differs in the last bits; weights are large here.
        assert own.score == pytest.approx(float(score), abs=1e-2)
        assert corners(own) == pytest.approx(box.tolist(), abs=0.1)


@pytest.mark.filterwarnings("default")
def test_what_ultralytics_cannot_open_is_refused(folder, monkeypatch):
    pytest.importorskip("ultralytics")
    known_pt(folder, monkeypatch, b"no checkpoint at all")
    with pytest.raises(WeightsError, match="can't be opened by this version"):
        open_yolov8("yolov8n", HARDWARE, OPEN_NETWORK)
