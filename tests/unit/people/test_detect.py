from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from support.matting.matting_pictures import clip_frames, deeper, from_rgb
from vrmatte.demo.scene import DemoPerson, Scene, render_pair
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.viewport import Viewport
from vrmatte.people.detect import (
    VIEWS,
    Detection,
    StereoDetection,
    ViewBox,
    detect_stereo,
    pair_eyes,
    view_pictures,
)
from vrmatte.people.yolox import open_detector
from vrmatte.settings.config import Config

SKY = (0.3, 0.5, 0.8)
RED = (0.9, 0.2, 0.2)


class RedDetector:
    """Finds red things; how likely they are is their share of the box's pixels."""

    input_px = 256

    def detect(self, pictures):
        found = []
        for picture in pictures:
            red, green, blue = (picture[..., i].astype(int) for i in range(3))
            mask = ((red > 150) & (green < 110) & (blue < 110)).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
            found.append(
                [
                    ViewBox(x, y, x + w, y + h, min(1.0, area / (w * h)))
                    for x, y, w, h, area in stats[1:].tolist()
                ]
            )
        return found


def eye_rgb(size, *ovals):
    """A sky with red ovals given as (yaw, pitch, half width, half height) in degrees."""
    eye = HalfEquirect(size)
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    yaw, pitch = 180 * x / size - 90, 90 - 180 * y / size
    assert eye.covers(x, y).all()
    rgb = np.full((size, size, 3), SKY)
    for at_yaw, at_pitch, wide, tall in ovals:
        rgb[((yaw - at_yaw) / wide) ** 2 + ((pitch - at_pitch) / tall) ** 2 <= 1] = RED
    return rgb


def side_by_side(left, right):
    return from_rgb(np.concatenate([left, right], axis=1))


def in_left_eye(rgb, threshold=0.5):
    """People in the left of two equal eyes."""
    people = detect_stereo(side_by_side(rgb, rgb), RedDetector(), threshold, threshold)
    return [person.left for person in people]


def test_views_show_colours_as_they_are():
    colour = np.array([200, 90, 40])
    eye = from_rgb(np.full((512, 512, 3), colour / 255))
    for picture in (eye, deeper(eye)):
        pictures = view_pictures(picture, 64, [Viewport(10, -10, 60, 60)])
        assert pictures.shape == (1, 64, 64, 3)
        # 8-bit YUV codes are up to 2 RGB codes apart.
        assert np.abs(pictures - colour).max() <= 3


def test_views_look_where_they_say():
    eye = from_rgb(eye_rgb(512, (-40, -25, 3, 3)))
    views = [Viewport(-40, -25, 60, 60), Viewport(40, 25, 60, 60), Viewport(-40, 0, 90, 90)]
    at_it, elsewhere, above_it = (
        picture[..., 1] < 90 for picture in view_pictures(eye, 120, views)
    )
    assert np.argwhere(at_it).mean(axis=0) == pytest.approx([59.5, 59.5], abs=0.7)
    assert not elsewhere.any()
    row = 60 + 60 * math.tan(math.radians(25))
    assert np.argwhere(above_it).mean(axis=0) == pytest.approx([row, 59.5], abs=1)


def test_what_lies_beyond_the_hemisphere_is_grey():
    eye = from_rgb(eye_rgb(256))
    picture = view_pictures(eye, 128, [Viewport(90, 0, 90, 90)])[0]
    assert np.abs(picture[:, 70:].astype(int) - 114).max() <= 1
    assert np.abs(picture[:, :60] - 255 * np.array(SKY)).max() <= 4


def test_fine_patterns_of_a_dense_eye_do_not_alias():
    checks = np.indices((2048, 2048)).sum(axis=0) % 2
    eye = from_rgb(np.repeat(checks[..., None], 3, axis=2))
    picture = view_pictures(eye, 128, [Viewport(0, 0, 90, 90)])[0]
    # Samples taken straight from the eye would be black or white.
    assert np.abs(picture.astype(int) - 128).max() <= 4


@pytest.mark.parametrize(
    "oval",
    [(0, 0, 8, 20), (-20, -20, 6, 25), (25, -10, 5, 15), (-60, -30, 8, 25), (5, -25, 38, 33)],
)
def test_one_oval_is_one_detection_with_its_bounds(oval):
    yaw, pitch, wide, tall = oval
    found = in_left_eye(eye_rgb(512, oval))
    assert len(found) == 1
    truth = AngularBox(yaw - wide, yaw + wide, pitch - tall, pitch + tall)
    # An oval on the sphere is not quite one in a view, and boxes rather grow than shrink.
    assert truth.share_in(found[0].box) > 0.9
    assert found[0].box.iou(truth) > 0.7
    assert not found[0].cut_by_edge


def test_whoever_leaves_the_picture_is_cut():
    (found,) = in_left_eye(eye_rgb(512, (-86, -10, 8, 20)))
    assert found.cut_by_edge
    assert found.box.yaw_min_deg < -88


def test_the_unlikely_is_left_out():
    assert in_left_eye(eye_rgb(512, (0, 0, 8, 20)), threshold=0.95) == []


def test_eyes_are_paired_by_shift_and_size():
    # Left to right: a near person, a far one, and a child whom the right eye doesn't see.
    left = eye_rgb(512, (-20, -15, 8, 25), (25, -8, 5, 14), (80, -15, 3, 8))
    right = eye_rgb(512, (-25, -15, 8, 25), (24, -8, 5, 14))
    pairs = detect_stereo(side_by_side(left, right), RedDetector(), 0.5)
    yaws = sorted(
        (
            tuple(None if eye is None else round(eye.box.center[0]) for eye in (p.left, p.right))
            for p in pairs
        ),
        key=lambda yaws: yaws[0],
    )
    assert yaws == [(-20, -25), (25, 24), (80, None)]


def seen(yaw, score=0.8, wide=20, low=-40, high=5):
    return Detection(AngularBox(yaw - wide / 2, yaw + wide / 2, low, high), score, False)


def test_a_shift_to_the_wrong_side_is_no_pair():
    # Further left in the left eye would be behind infinity; five degrees are no mistake of boxes.
    assert len(pair_eyes([seen(0, wide=10)], [seen(6, wide=10)])) == 2
    assert len(pair_eyes([seen(6, wide=10)], [seen(0, wide=10)])) == 1


def test_nothing_is_nearer_than_the_nearest():
    assert len(pair_eyes([seen(30)], [seen(8)])) == 2


def test_another_height_is_another_person():
    assert len(pair_eyes([seen(3)], [seen(0, low=-15, high=30)])) == 2
    assert len(pair_eyes([seen(3)], [seen(0, low=-38, high=6)])) == 1


def test_equal_people_are_paired_in_order():
    pairs = pair_eyes([seen(0), seen(12)], [seen(-2), seen(10)])
    assert {(p.left.box.center[0], p.right.box.center[0]) for p in pairs} == {(0, -2), (12, 10)}


def test_whoever_only_the_right_eye_sees_is_kept():
    assert pair_eyes([], [seen(80)]) == [StereoDetection(None, seen(80))]
    assert pair_eyes([], []) == []


def test_the_weaker_eye_needs_less():
    class Weaker(RedDetector):
        """Half as sure in the second half of the pictures, the right eye's."""

        def detect(self, pictures):
            found = super().detect(pictures)
            for boxes in found[len(found) // 2 :]:
                boxes[:] = [ViewBox(b.x0, b.y0, b.x1, b.y1, b.score / 2) for b in boxes]
            return found

    frame = side_by_side(eye_rgb(512, (0, -10, 8, 20)), eye_rgb(512, (-3, -10, 8, 20)))
    (pair,) = detect_stereo(frame, Weaker(), 0.6)
    assert pair.right.score < 0.6 < pair.left.score == pair.score
    (pair,) = detect_stereo(frame, Weaker(), 0.6, weak_threshold=0.6)
    assert pair.right is None
    assert detect_stereo(frame, Weaker(), 0.95) == []


def nano():
    return open_detector(Config())


@pytest.mark.weights
def test_people_of_a_drawn_scene_are_found_and_an_empty_room_is_empty(models_dir):
    people = (DemoPerson(x_m=-0.5, z_m=1.2), DemoPerson(x_m=1.0, z_m=1.5))
    pair = render_pair(Scene(people=people), 768, 0)
    found = detect_stereo(from_rgb(pair.side_by_side() / 255), nano(), 0.7)
    assert len(found) == 2
    for number, person in enumerate(sorted(found, key=lambda p: p.left.box.center[0])):
        for eye, detection in enumerate((person.left, person.right)):
            ys, xs = np.nonzero(pair.person_alpha[number, eye] > 0.5)
            truth = AngularBox(
                xs.min() / 768 * 180 - 90,
                (xs.max() + 1) / 768 * 180 - 90,
                90 - (ys.max() + 1) / 768 * 180,
                90 - ys.min() / 768 * 180,
            )
            # A detector's box is never exact; 0.7 is plainly the same person.
            assert detection.box.iou(truth) > 0.7
    empty = render_pair(Scene(people=()), 768, 0)
    assert detect_stereo(from_rgb(empty.side_by_side() / 255), nano(), 0.3) == []


@pytest.mark.weights
@pytest.mark.parametrize(
    ("clip", "frame_index", "yaws_deg"),
    [
        ("d1_center", 20, [4]),
        ("d2_close", 20, [5]),
        ("d3_cross", 10, [-24, 18]),
        ("d4_sides", 20, [-68, 62]),
        ("d5_enter_leave", 0, [19]),
        ("d5_enter_leave", 40, [-27, 19]),
    ],
)
def test_everybody_of_the_ground_truth_is_found_in_both_eyes(
    models_dir, bench_dir, clip, frame_index, yaws_deg
):
    frame = clip_frames(bench_dir, clip, frame_index + 1)[-1]
    found = sorted(detect_stereo(frame, nano(), 0.7), key=lambda pair: pair.left.box.center[0])
    # Where the clips place their cards; people aren't in the middle of theirs.
    assert [pair.left.box.center[0] for pair in found] == pytest.approx(yaws_deg, abs=10)
    assert all(pair.left.score >= 0.7 and pair.right.score >= 0.7 for pair in found)
    assert all(pair.left.box.center[0] > pair.right.box.center[0] for pair in found)


def test_the_default_views_leave_no_gap():
    """From 15 degrees up all lies in a view down to the pole, in the middle from 60 degrees up."""
    x, y = np.meshgrid(np.arange(180) + 0.5, np.arange(30, 180) + 0.5)
    directions = HalfEquirect(180).directions(x, y)
    covered = np.zeros(x.shape, bool)
    for view in VIEWS:
        picture = view.picture(100, 100)
        covered |= picture.covers(*picture.pixels(*directions))
    assert covered[:, 50:130].all()
    assert covered[45:].all()


def test_frames_are_split_into_eyes():
    left, right = eye_rgb(256, (0, 0, 10, 20)), eye_rgb(256)
    frame = side_by_side(left, right)
    (person,) = detect_stereo(frame, RedDetector(), 0.5)
    assert person.left is not None
    assert person.right is None
