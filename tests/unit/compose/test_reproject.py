from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.matting.matting_pictures import from_rgb, soft_rgb
from vrmatte.compose.reproject import Reprojector
from vrmatte.demo.scene import Scene, render_pair
from vrmatte.frames import YUV420P10, ColorTags, Eye, half_of
from vrmatte.geometry.projection import Fisheye, HalfEquirect, shown_pixels

EYE = 256
FOVS = [180, 190, 200, 220]


def soft_frame(layout=None, color=ColorTags(matrix=1)):
    rgb = soft_rgb(2 * EYE, EYE)
    return from_rgb(rgb, layout, color) if layout else from_rgb(rgb, color=color)


def between(source, target, frame):
    return Reprojector(source, target, frame.layout, frame.color)


@pytest.mark.parametrize("eye", [HalfEquirect(EYE), Fisheye(EYE, 190)])
def test_to_the_same_projection_nothing_is_touched(eye):
    frame, matte = soft_frame(), np.zeros((EYE, 2 * EYE), np.uint8)
    reprojector = between(eye, eye, frame)
    assert not reprojector.is_needed
    assert reprojector.frame(frame) is frame
    assert reprojector.matte(matte) is matte


@pytest.mark.parametrize("fov_deg", FOVS)
@pytest.mark.parametrize("layout", [None, YUV420P10])
def test_there_and_back(fov_deg, layout):
    frame = soft_frame(layout)
    half, fisheye = HalfEquirect(EYE), Fisheye(EYE, fov_deg)
    there, back = between(half, fisheye, frame), between(fisheye, half, frame)
    made = back.frame(there.frame(frame))
    scale = 1 << (frame.layout.bit_depth - 8)
    # Beyond 180 degrees the way there leaves a black ring, and the outermost two samples of a
    # fisheye are never read: compared is what lies 6 pixels or more inside both.
    for name, step in (("y", 1), ("u", 2), ("v", 2)):
        at = step * (np.arange(EYE // step) + 0.5)
        u, v = Fisheye(EYE, 180).pixels(*half.directions(*np.meshgrid(at, at)))
        inside = np.hypot(u - EYE / 2, v - EYE / 2) < EYE / 2 - 6 * fov_deg / 180
        ours, theirs = (
            half_of(getattr(f, name), Eye.LEFT)[inside].astype(int) for f in (made, frame)
        )
        error = np.abs(ours - theirs) / scale
        # Structures of 16 pixels (chroma: 8 samples), twice resampled, the first time to fewer.
        assert error.mean() < 0.5, name
        assert np.percentile(error, 99) <= 4, name


@pytest.mark.parametrize("fov_deg", FOVS)
def test_mattes_come_back(fov_deg):
    matte = render_pair(Scene(), EYE, 0).alpha_side_by_side()
    frame = soft_frame()
    half, fisheye = HalfEquirect(EYE), Fisheye(EYE, fov_deg)
    there, back = between(half, fisheye, frame), between(fisheye, half, frame)
    made = back.matte(there.matte(matte))
    ours, theirs = made > 127, matte > 127
    # Twice resampled at 256 pixels; a shift by one pixel would cost 0.03.
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.985
    assert not np.shares_memory(made, matte)


@pytest.mark.parametrize("fov_deg", FOVS)
def test_outside_the_circle_is_black_and_transparent(fov_deg):
    frame, matte = soft_frame(), np.full((EYE, 2 * EYE), 255, np.uint8)
    fisheye = Fisheye(EYE, fov_deg)
    reprojector = between(HalfEquirect(EYE), fisheye, frame)
    made, cut = reprojector.frame(frame), reprojector.matte(matte)
    outside = np.tile(~shown_pixels(fisheye), 2)
    assert (made.y[outside] == 16).all()
    assert not cut[outside].any()
    assert (made.u[0, : EYE // 8] == 128).all()
    # 180 of the circle's degrees show something; all of that is opaque.
    inner = np.tile(shown_pixels(Fisheye(EYE, 180)), 2) & ~outside
    radius = EYE / 2 * 180 / fov_deg - 2
    x, y = np.meshgrid(*2 * [np.arange(EYE) + 0.5 - EYE / 2])
    seen = np.tile(np.hypot(x, y) < radius, 2)
    assert (cut[seen & inner] == 255).all()


@pytest.mark.parametrize("fov_deg", FOVS)
def test_what_lies_outside_a_circle_bleeds_nowhere(fov_deg):
    fisheye = Fisheye(EYE, fov_deg)
    frame = between(
        HalfEquirect(EYE), fisheye, grey := from_rgb(np.full((EYE, 2 * EYE, 3), 0.7))
    ).frame(grey)
    circle = np.tile(shown_pixels(fisheye), 2)
    frame = replace(frame, y=np.where(circle, np.uint8(170), np.uint8(16)))
    reprojector = between(fisheye, HalfEquirect(EYE), frame)
    # Of 16 samples the furthest corner may lie outside; it weighs less than a code.
    assert reprojector.frame(frame).y.min() >= 169
    assert reprojector.matte(np.where(circle, np.uint8(255), np.uint8(0))).min() >= 253


@pytest.mark.parametrize("location", [1, 2, 3])
def test_colour_stays_where_it_lies(location):
    """A patch of colour has its middle at the same direction whatever the chroma siting."""
    rgb = np.full((EYE, 2 * EYE, 3), 0.5)
    x, y = np.meshgrid(*2 * [np.arange(EYE) + 0.5])
    blob = np.exp(-(((x - 90) / 9) ** 2 + ((y - 170) / 9) ** 2))
    frame = from_rgb(rgb, color=ColorTags(matrix=1, chroma_location=location))
    sites = {1: (0.5, 1.0), 2: (1.0, 1.0), 3: (0.5, 0.5)}[location]
    columns, rows = (2 * np.arange(EYE // 2) + start for start in sites)
    tint = np.exp(-(((columns - 90) / 9) ** 2)[None] - (((rows - 170) / 9) ** 2)[:, None])
    u = frame.u.copy()
    half_of(u, Eye.LEFT)[...] = np.rint(128 + 90 * tint)
    luma = frame.y.copy()
    half_of(luma, Eye.LEFT)[...] = np.rint(100 + 90 * blob)
    frame = replace(frame, y=luma, u=u)
    made = between(HalfEquirect(EYE), Fisheye(EYE, 300), frame).frame(frame)

    def middle(plane, ground, at_x, at_y):
        weight = np.clip(half_of(plane, Eye.LEFT).astype(float) - ground, 0, None)
        weight[weight < 4] = 0
        return (weight * at_x).sum() / weight.sum(), (weight * at_y).sum() / weight.sum()

    by_luma = middle(made.y, 100, x, y)
    by_chroma = middle(made.u, 128, *np.meshgrid(columns, rows))
    # Pixels of luma. The eye shrinks to 0.6, so samples taken for half a pixel elsewhere would
    # shift by 0.2.
    assert np.abs(np.subtract(by_luma, by_chroma)).max() < 0.05


def test_what_was_not_announced_is_refused():
    frame = soft_frame()
    with pytest.raises(ValueError, match="differ in size"):
        between(HalfEquirect(EYE), Fisheye(EYE // 2, 190), frame)
    reprojector = between(HalfEquirect(EYE), Fisheye(EYE, 190), frame)
    with pytest.raises(ValueError, match="expected a frame"):
        reprojector.frame(frame.eye(Eye.LEFT))
    with pytest.raises(ValueError, match="expected a frame"):
        reprojector.matte(np.zeros((EYE, EYE), np.uint8))
    with pytest.raises(ValueError, match="expected yuv420p"):
        reprojector.frame(soft_frame(YUV420P10))
