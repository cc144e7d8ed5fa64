import math

import cv2
import numpy as np
import pytest

from support.matting.matting_pictures import from_rgb, soft_rgb
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, PixelLayout, PlanarFrame
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.viewport import Viewport
from vrmatte.matting.view_window import FEATHER_SHARE, ViewWindow, blend_weights
from vrmatte.matting.viewport_matting import _shrunk

EYE = 512
SIZE = (96, 128)
VIEWS = {
    "middle": Viewport(0, 0, 50, 66),
    "left, up": Viewport(-35, 30, 45, 70),
    "over the edge": Viewport(80, -10, 60, 60),
    "pole": Viewport(20, 80, 60, 60),
    "narrow": Viewport(-13.3, 7.7, 9, 12),
    "wide": Viewport(0, 0, 130, 120),
    "sphere": Viewport(0, 0, 180, 180, "stereographic"),
    "askew": Viewport(25, -30, 30, 80, roll_deg=33),
    "corner between outline sites": Viewport(52.7686, -68.6064, 49.6794, 22.46985),
    "tip between them": Viewport(-44.3947, 35.9054, 26.1251, 38.4974, roll_deg=55.155),
}
BEHIND = Viewport(180, 0, 40, 40)
THREE = [Viewport(-30, 0, 60, 70), Viewport(0, 5, 50, 80), Viewport(28, -6, 55, 66)]


@pytest.fixture(params=VIEWS.values(), ids=VIEWS.keys())
def view(request):
    return request.param


def window_of(viewport, size=SIZE, eye_px=EYE):
    return ViewWindow(viewport, size, HalfEquirect(eye_px))


def on_the_eye(viewport, size=SIZE, eye_px=EYE):
    """Where each pixel of an eye lies in a viewport's picture."""
    x, y = np.meshgrid(*2 * [np.arange(eye_px) + 0.5])
    return viewport.picture(*size).pixels(*HalfEquirect(eye_px).directions(x, y))


def border_of(viewport, size=SIZE, eye_px=EYE):
    """How far each pixel of an eye lies inside a viewport's picture; negative outside."""
    u, v = on_the_eye(viewport, size, eye_px)
    return np.minimum(np.minimum(u, size[0] - u), np.minimum(v, size[1] - v))


def well_inside(viewports, size=SIZE):
    """Where one of the viewports at least sees more than its feather."""
    borders = [border_of(viewport, size) for viewport in viewports]
    return np.max(borders, axis=0) > FEATHER_SHARE * min(size) + 1e-3


def filled(weights, windows, eye_px=EYE):
    total = np.zeros((eye_px, eye_px), int)
    for weight, window in zip(weights, windows, strict=True):
        total[window.region.slices] += weight
    return total


def test_the_region_holds_all_the_viewport_sees(view):
    window, border = window_of(view), border_of(view)
    beyond = border.copy()
    beyond[window.region.slices] = -1
    assert (beyond < 0).all()
    assert np.allclose(window.border_px, np.maximum(border[window.region.slices], 0), atol=1e-4)


def test_a_viewport_behind_the_eye_has_no_region():
    window = window_of(BEHIND)
    assert window.border_px.size == 0
    flat = np.ones(SIZE[::-1], np.float32)
    assert window.lay_back(flat, flat).shape == (2, 0, 0)
    (weight,) = blend_weights([window], EYE)
    assert weight.size == 0
    assert window.read(from_rgb(soft_rgb(EYE, EYE)), 1).y.shape == SIZE[::-1]


def test_coefficients_come_back_where_they_belong(view):
    """A linear ramp over the picture is met by bilinear reading exactly."""
    window = window_of(view)
    columns, rows = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    slope, offset = columns.astype(np.float32), (3 - rows).astype(np.float32)
    laid = window.lay_back(slope, offset)
    u, v = (of_eye[window.region.slices] for of_eye in on_the_eye(view))
    inside = window.border_px > 0.5
    assert inside.any()
    # Positions are rounded to 1/256 px, and the last of them is one such step off.
    assert np.abs(laid[0] - u)[inside].max() < 0.006
    assert np.abs(laid[1] - (3 - v))[inside].max() < 0.006
    # The outermost half pixel repeats.
    assert laid[0].min() >= 0.5
    assert laid[0].max() <= SIZE[0] - 0.5


def test_coefficients_of_another_size_are_stretched():
    window = window_of(VIEWS["middle"])
    small = np.random.default_rng(0).random((SIZE[1] // 4, SIZE[0] // 4), np.float32)
    laid = window.lay_back(small, 1 - small)
    assert laid.shape == (2, *window.border_px.shape)
    assert np.abs(laid.sum(axis=0) - 1).max() < 1e-5
    assert np.ptp(laid[0]) > 0.9 * np.ptp(small)


@pytest.mark.parametrize("size", [(1, 64), (64, 1)])
def test_pictures_of_one_row_or_column_are_refused(size):
    with pytest.raises(ValueError, match="pixels"):
        window_of(VIEWS["middle"], size)


def ramps(layout, color, eye_px=EYE):
    """Y, U and V that change evenly over the eye, chroma where its siting says."""
    step = 1 << layout.chroma_shift_x
    left = color.chroma_location in (0, 1, 3)
    first = 0.5 if left and step == 2 else step / 2
    top = 0.5 if color.chroma_location == 3 and step == 2 else step / 2
    span = layout.peak * 0.8 / eye_px
    luma = np.arange(eye_px) + 0.5
    across, down = (step * np.arange(eye_px // step) + start for start in (first, top))
    y = luma[None, :] * span + np.zeros((eye_px, 1))
    u = across[None, :] * span + np.zeros((eye_px // step, 1))
    v = down[:, None] * span + np.zeros((1, eye_px // step))
    planes = (np.rint(plane).astype(layout.dtype) for plane in (y, u, v))
    return PlanarFrame(*planes, layout, color), span


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("location", [0, 2, 3], ids=["left", "centre", "top left"])
@pytest.mark.parametrize("layout", [YUV420P10, PixelLayout("yuv444p10le", 10, 0, 0), YUV420P])
def test_reading_from_reduced_eyes_shifts_nothing(layout, location, factor):
    eye, span = ramps(layout, ColorTags(matrix=1, chroma_location=location))
    viewport, size = Viewport(15, 10, 60, 80), (48, 64)
    picture = window_of(viewport, size).read(_shrunk(eye, factor), factor)
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    x, y = HalfEquirect(EYE).pixels(*viewport.picture(*size).directions(columns, rows))
    for plane, expected in ((picture.y, x * span), (picture.u, x * span), (picture.v, y * span)):
        # Rounded three times: in the ramp, in the reduced eye (halves up) and in the picture. A
        # chroma siting left as it was would shift the mean by another 0.2 levels or more.
        assert np.abs(plane - expected).max() < 1.5
        assert abs((plane - expected).mean()) < 0.45
        assert plane.dtype == layout.dtype


def test_reading_from_reduced_eyes_gives_the_same_picture():
    coarse = soft_rgb(EYE // 4, EYE // 4)
    eye = from_rgb(cv2.resize(coarse, (EYE, EYE), interpolation=cv2.INTER_CUBIC))
    window = window_of(Viewport(-20, 12, 60, 80), (48, 64))
    direct = window.read(eye, 1)
    for factor, levels in ((2, 2), (4, 4)):
        reduced = window.read(_shrunk(eye, factor), factor)
        for ours, theirs in ((reduced.y, direct.y), (reduced.u, direct.u), (reduced.v, direct.v)):
            # Colours change from 64 px to 64 px; averaging rounds the corners.
            assert np.abs(ours.astype(int) - theirs).max() <= levels
            assert abs((ours.astype(int) - theirs).mean()) < 0.45


def test_beyond_the_eye_its_edge_goes_on():
    luma = np.repeat(np.linspace(60, 200, EYE).astype(np.uint8)[None], EYE, axis=0)
    chroma = np.full((EYE // 2, EYE // 2), 140, np.uint8)
    eye = PlanarFrame(luma, chroma, chroma, YUV420P, ColorTags(matrix=1))
    viewport = Viewport(75, 0, 70, 50)
    picture = window_of(viewport).read(eye, 1)
    # The edge is 15 degrees right of the middle.
    column = SIZE[0] / 2 * (1 + math.tan(math.radians(15)) / math.tan(math.radians(35)))
    assert (picture.y[SIZE[1] // 2, math.ceil(column) :] == 200).all()
    assert (picture.y[SIZE[1] // 2, : math.floor(column) - 2] < 200).all()
    assert picture.y.min() >= 60
    assert (picture.u == 140).all()


def test_weights_of_one_view_are_all_inside_and_none_outside(view):
    window = window_of(view)
    (weight,) = blend_weights([window], EYE)
    border = border_of(view)[window.region.slices]
    assert weight.dtype == np.uint8
    assert (weight[border > FEATHER_SHARE * min(SIZE) + 1e-3] == 255).all()
    assert (weight[border <= 0] == 0).all()
    part = np.clip(border / (FEATHER_SHARE * min(SIZE)), 0, 1) * 255
    assert np.abs(weight - part).max() < 0.51


@pytest.mark.parametrize("count", [2, 3])
def test_weights_of_overlapping_views_sum_to_all(count):
    windows = [window_of(viewport) for viewport in THREE[:count]]
    weights = blend_weights(windows, EYE)
    total = filled(weights, windows)
    assert total.max() == 255
    assert (total[well_inside(THREE[:count])] == 255).all()
    assert (total[np.max([border_of(v) for v in THREE[:count]], axis=0) <= 0] == 0).all()
    for weight, window in zip(weights, windows, strict=True):
        assert (weight[window.border_px == 0] == 0).all()


def test_weights_do_not_hang_on_the_order_of_views():
    windows = [window_of(viewport) for viewport in THREE]
    forth = blend_weights(windows, EYE)
    back = blend_weights(windows[::-1], EYE)[::-1]
    for one, other in zip(forth, back, strict=True):
        # Rounding is handed on from view to view.
        assert np.abs(one.astype(int) - other).max() <= 1


def test_no_views_no_weights():
    assert blend_weights([], EYE) == []


def test_the_same_view_twice_shares_evenly():
    windows = [window_of(THREE[0])] * 2
    one, other = blend_weights(windows, EYE)
    assert np.abs(one.astype(int) - other).max() <= 1
    assert filled([one, other], windows).max() == 255
