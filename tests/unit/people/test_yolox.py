from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.matting.matting_pictures import clip_frames
from vrmatte.errors import WeightsError
from vrmatte.frames import Eye
from vrmatte.geometry.viewport import Viewport
from vrmatte.models.runtime import open_session
from vrmatte.people.detect import view_pictures
from vrmatte.people.letterbox import keep_best
from vrmatte.people.yolox import YoloxDetector, open_detector
from vrmatte.progress import Notice
from vrmatte.settings.config import Config

SIZE = 64
ROWS = 8 * 8 + 4 * 4 + 2 * 2


def network(rows, batch=1, channel=None):
    """A network with YOLOX's interface and a fixed answer, times the mean of a channel if given."""
    shape = [batch, 3, SIZE, SIZE]
    weights = np.eye(3)[channel] if channel is not None else np.zeros(3)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["means", "weights"], ["of_channel"]),
            helper.make_node("Add", ["of_channel", "bias"], ["level"]),
            helper.make_node("Reshape", ["level", "one_each"], ["levels"]),
            helper.make_node("Mul", ["rows", "levels"], ["output"]),
        ],
        "fixed",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, *rows.shape])],
        [
            numpy_helper.from_array(rows[None].astype(np.float32), "rows"),
            numpy_helper.from_array(weights.reshape(3, 1).astype(np.float32), "weights"),
            numpy_helper.from_array(np.float32([channel is None]), "bias"),
            numpy_helper.from_array(np.array([-1, 1, 1], np.int64), "one_each"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return open_session(model.SerializeToString(), "cpu", 1)


def empty_rows(count=ROWS, classes=80):
    return np.zeros((count, 5 + classes), np.float32)


def pictures(count=1, height=SIZE, width=SIZE):
    return np.zeros((count, height, width, 3), np.uint8)


def test_offsets_in_grid_cells_become_boxes():
    rows = empty_rows()
    # Stride 8, row 2, column 3: 0.5 cells on, two cells wide and one high.
    rows[2 * 8 + 3, :6] = 0.5, 0.25, np.log(2), 0, 0.9, 0.8
    # Stride 32, row 1, column 0.
    rows[64 + 16 + 2, :6] = 0.5, 0.5, 0, 0, 1, 0.5
    first, second = YoloxDetector("test", network(rows)).detect(pictures())[0]
    assert (first.x0, first.y0, first.x1, first.y1) == pytest.approx((20, 14, 36, 22))
    assert first.score == pytest.approx(0.72)
    assert (second.x0, second.y0, second.x1, second.y1) == pytest.approx((0, 32, 32, 64))


def test_other_classes_and_unlikely_people_are_left_out():
    rows = empty_rows()
    rows[0, [4, 6]] = 1, 1
    rows[1, [4, 5]] = 0.3, 0.3
    assert YoloxDetector("test", network(rows)).detect(pictures()) == [[]]
    assert len(YoloxDetector("test", network(rows), 0.05).detect(pictures())[0]) == 1


def test_pictures_of_other_sizes_are_fitted_in():
    rows = empty_rows()
    rows[64 + 16, :6] = 0.5, 0.25, 0, np.log(0.5), 1, 1
    (box,) = YoloxDetector("test", network(rows)).detect(pictures(1, 64, 128))[0]
    # The network saw the picture at half its size.
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((0, 0, 64, 32))


@pytest.mark.parametrize("batch", [1, "batch"])
def test_many_pictures_one_by_one_or_at_once(batch):
    rows = empty_rows()
    rows[9, [4, 5]] = 1, 1
    found = YoloxDetector("test", network(rows, batch)).detect(pictures(3))
    assert len(found) == 3
    assert found[0] == found[1] == found[2]


def test_of_boxes_on_each_other_the_best_stays():
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [9, 0, 19, 10], [0, 0, 10, 4]], float)
    assert keep_best(corners, np.array([0.5, 0.9, 0.7, 0.8]), 0.45) == [1, 3, 2]
    assert keep_best(np.zeros((0, 4)), np.zeros(0), 0.45) == []


def test_what_is_not_yolox_is_refused():
    with pytest.raises(WeightsError, match="rows of shape"):
        YoloxDetector("test", network(empty_rows(7))).detect(pictures())
    flat = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "flat",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
    )
    model = helper.make_model(flat, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(WeightsError, match="not one of YOLOX"):
        YoloxDetector("test", open_session(model.SerializeToString(), "cpu", 1))


def config(model):
    return Config.model_validate({"detection": {"model": model}})


@pytest.mark.weights
def test_the_default_detector_opens_without_a_word(models_dir):
    events = []
    detector = open_detector(Config(), events.append)
    assert (detector.name, detector.input_px) == ("yolox_nano", 416)
    assert [event for event in events if isinstance(event, Notice)] == []


@pytest.mark.weights
def test_an_agpl_detector_is_named_and_replaced(models_dir):
    events = []
    assert open_detector(config("yolov8s"), events.append).name == "yolox_nano"
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    for words in ("yolov8s", "AGPL-3.0", "yolox_nano"):
        assert words in notice


def test_without_weights_nobody_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    monkeypatch.setenv("VRMATTE_CACHE_DIR", str(tmp_path / "cache"))
    events = []
    assert open_detector(config("yolox_m"), events.append) is None
    first, second = [event.text for event in events if isinstance(event, Notice)]
    assert "yolox_m" in first
    assert "yolox_s" in first
    assert "can't be looked for" in second


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_pictures_go_in_as_blue_green_red_from_0_to_255(channel):
    rows = empty_rows()
    rows[9, [4, 5]] = 1 / 255, 1 / 255
    rgb = np.array([51, 102, 204], np.uint8)
    detector = YoloxDetector("test", network(rows, channel=channel), 0.01)
    (box,) = detector.detect(pictures() + rgb)[0]
    assert box.score == pytest.approx((rgb[2 - channel] / 255) ** 2, rel=1e-4)


def test_what_a_picture_leaves_free_is_grey():
    rows = empty_rows()
    rows[9, [4, 5]] = 1 / 255, 1 / 255
    (box,) = YoloxDetector("test", network(rows, channel=0)).detect(pictures(1, 32, 64) + 200)[0]
    assert box.score == pytest.approx(((200 + 114) / 2 / 255) ** 2, rel=1e-4)


@pytest.mark.weights
def test_larger_pictures_give_the_same_person(models_dir, bench_dir):
    eye = clip_frames(bench_dir, "d1_center", 1)[0].eye(Eye.LEFT)
    detector = open_detector(Config())
    views = [Viewport(0, -15, 90, 90)]
    small = view_pictures(eye, 416, views)
    large = cv2.resize(small[0], (832, 832), interpolation=cv2.INTER_LINEAR)[None]
    (one,), (other,) = detector.detect(small)[0][:1], detector.detect(large)[0][:1]
    assert [v / 2 for v in (other.x0, other.y0, other.x1, other.y1)] == pytest.approx(
        [one.x0, one.y0, one.x1, one.y1], abs=4
    )
