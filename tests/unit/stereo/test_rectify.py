from __future__ import annotations

import numpy as np
import pytest

from support.matting.stereo_scenes import grey_frame, stereo_truth
from vrmatte.frames import EYES, YUV420P10, ColorTags, Eye, PlanarFrame
from vrmatte.geometry.projection import Cassini, Fisheye, HalfEquirect
from vrmatte.geometry.viewport import Turned, rotation_of
from vrmatte.stereo.rectify import PICTURE_PX, Rectifier

BASELINE_M = 0.064
TURN = rotation_of(0.4, -0.3, 1.0)
PROJECTIONS = [HalfEquirect(768), Fisheye(768, 190)]


def smooth_picture(projection):
    x, y = np.meshgrid(np.arange(projection.width) + 0.5, np.arange(projection.height) + 0.5)
    d = projection.directions(x, y)
    return np.rint(128 + 60 * np.sin(3 * d[0]) + 50 * d[1]).astype(np.uint8)


@pytest.mark.parametrize(
    ("eye_px", "picture", "reduced"),
    [(1536, 512, 512), (1024, 512, 512), (768, 512, 768), (3072, 512, 512), (300, 300, 300)],
)
def test_sizes(eye_px, picture, reduced):
    """Eyes are reduced by whole numbers, and never enlarged."""
    rectifier = Rectifier(HalfEquirect(eye_px))
    assert (rectifier.picture_px, rectifier.reduced_px) == (picture, reduced)
    assert rectifier.matte(np.zeros((eye_px, eye_px), np.uint8), Eye.LEFT).shape == (picture,) * 2
    assert PICTURE_PX == 512


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_there_and_back(projection):
    """Cubic there, linear back, of a slow picture: a code or two."""
    rectifier = Rectifier(projection)
    plane = smooth_picture(projection)
    there = rectifier.matte(plane, Eye.LEFT)
    assert 0 <= there.min() < there.max() <= 1
    back = rectifier.back(there * 255, Eye.LEFT)
    x, y = np.meshgrid(np.arange(768) + 0.5, np.arange(768) + 0.5)
    ahead = projection.covers(x, y) & (projection.directions(x, y)[2] > 0.05)
    assert np.abs(back - plane)[ahead].max() < 3


@pytest.mark.parametrize("rotation", [None, TURN])
@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("eye", EYES)
def test_counterparts_are_where_the_other_eye_sees_the_point(projection, rotation, eye):
    """Points on a wall, with the right lens turned; to a tenth of a full-size pixel."""
    rectifier = Rectifier(projection, rotation)
    wall_m = 0.9
    sites = np.arange(rectifier.picture_px) + 0.5
    disparity = Cassini(rectifier.picture_px).disparity_px(
        sites[None], sites[:, None], wall_m, BASELINE_M, from_left=eye is Eye.LEFT
    )
    u, v = rectifier.counterparts(disparity.astype(np.float32), eye)
    rng = np.random.default_rng(1)
    points = np.stack([rng.uniform(-0.8, 0.8, 500), rng.uniform(-0.8, 0.8, 500), np.full(500, 0.9)])

    def seen(which):
        side = 1 if which is Eye.LEFT else -1
        picture = rectifier.seen_by(which, projection)
        return picture.pixels(points[0] + side * BASELINE_M / 2, points[1], points[2])

    x, y = (np.floor(at).astype(int) for at in seen(eye))
    fraction = [at - np.floor(at) - 0.5 for at in seen(eye)]
    expected = seen(Eye.LEFT if eye is Eye.RIGHT else Eye.RIGHT)
    # From the pixel's centre to the point itself the neighbours' differences tell the way.
    for found, there in zip((u, v), expected, strict=True):
        dy, dx = np.gradient(found)
        at = found[y, x] + fraction[0] * dx[y, x] + fraction[1] * dy[y, x]
        assert np.abs(at - there).max() < 0.1


def test_counterparts_in_bent_rows():
    rectifier = Rectifier(HalfEquirect(512))
    flat = np.zeros((512, 512), np.float32)
    _, straight = rectifier.counterparts(flat, Eye.RIGHT)
    _, bent = rectifier.counterparts(flat, Eye.RIGHT, flat + 2)
    assert (bent - straight)[256, 256] == pytest.approx(2, abs=1e-3)


def test_a_turned_right_eye_is_turned_back():
    projection = HalfEquirect(768)
    turned = Turned(projection, TURN)
    x, y = np.meshgrid(np.arange(768) + 0.5, np.arange(768) + 0.5)
    d = turned.directions(x, y)
    plane = np.rint(128 + 60 * np.sin(3 * d[0]) + 50 * d[1]).astype(np.uint8)
    straight = Rectifier(projection).matte(smooth_picture(projection), Eye.RIGHT)
    found = Rectifier(projection, TURN).matte(plane, Eye.RIGHT)
    unmended = Rectifier(projection).matte(plane, Eye.RIGHT)
    inner = np.s_[64:-64, 64:-64]
    assert np.abs(found - straight)[inner].mean() < 0.4 / 255
    assert np.abs(unmended - straight)[inner].mean() > 1 / 255
    assert np.array_equal(Rectifier(projection, TURN).matte(plane, Eye.LEFT), unmended)


@pytest.mark.parametrize("eye", EYES)
def test_angles_are_told_in_the_eyes_own_frame(eye):
    """Boxes of people are; a turned right eye has other angles at the same Cassini pixel."""
    rectifier = Rectifier(HalfEquirect(768), TURN)
    yaw, pitch = rectifier.angles_deg(eye)
    sites = np.arange(512) + 0.5
    x, y = np.meshgrid(sites, sites)
    # Half-equirectangular pixels are angles.
    u, v = rectifier.seen_by(eye, HalfEquirect(768)).pixels(*Cassini(512).directions(x, y))
    inner = np.s_[40:-40, 40:-40]
    assert np.abs(yaw - (u / 768 - 0.5) * 180)[inner].max() < 0.01
    assert np.abs(pitch + (v / 768 - 0.5) * 180)[inner].max() < 0.01
    assert yaw[256, 400] > 0 > pitch[400, 256]


def test_luma_of_any_depth():
    truth = stereo_truth("one", 512)
    eight = truth.frame
    ten = PlanarFrame(
        eight.y.astype(np.uint16) << 2,
        eight.u.astype(np.uint16) << 2,
        eight.v.astype(np.uint16) << 2,
        YUV420P10,
        ColorTags(),
    )
    rectifier = Rectifier(HalfEquirect(512))
    greys = [rectifier.grey(frame.eye(Eye.RIGHT), Eye.RIGHT) for frame in (eight, ten)]
    assert greys[0].dtype == np.uint8
    assert np.array_equal(*greys)


def test_both_eyes_see_a_distant_point_in_one_row():
    """A lamp in a dark room, as turned lenses see it."""
    projection = HalfEquirect(768)
    rectifier = Rectifier(projection, TURN)
    pictures = []
    for eye in EYES:
        side = 1 if eye is Eye.LEFT else -1
        x, y = np.meshgrid(np.arange(768) + 0.5, np.arange(768) + 0.5)
        u, v = rectifier.seen_by(eye, projection).pixels(
            np.array(0.7 + side * BASELINE_M / 2), np.array(0.6), np.array(1.0)
        )
        pictures.append(np.rint(255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 18)).astype(np.uint8))
    frame = grey_frame(*pictures)
    rows, columns = [], []
    for eye in EYES:
        light = rectifier.grey(frame.eye(eye), eye).astype(float)
        rows.append((light.sum(axis=1) * np.arange(512)).sum() / light.sum())
        columns.append((light.sum(axis=0) * np.arange(512)).sum() / light.sum())
    assert abs(rows[0] - rows[1]) < 0.05
    assert columns[0] - columns[1] > 3
