from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.media.rgba_images import paint_rgba
from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.compose.linear_light import DIFFUSE_WHITE_NITS, linear_light
from vrmatte.compose.rgba import RgbaPainter
from vrmatte.errors import InputError
from vrmatte.frames import (
    YUV420P,
    YUV420P10,
    YUVA444P10,
    ColorTags,
    PixelLayout,
    PlanarFrame,
    StraightFrame,
)
from vrmatte.geometry.remap import chroma_sites

BT709 = ColorTags(1, 1, 1)
PQ = ColorTags(9, 16, 9)
HLG = ColorTags(9, 18, 9)
YUV444P = PixelLayout("yuv444p", 8, 0, 0)


def noise(layout, color=BT709, height=20, width=48, seed=3):
    rng = np.random.default_rng(seed)
    chroma = (-(-height >> layout.chroma_shift_y), -(-width >> layout.chroma_shift_x))
    y, u, v, alpha = (
        rng.integers(0, layout.peak + 1, shape, dtype=layout.dtype)
        for shape in ((height, width), chroma, chroma, (height, width))
    )
    return StraightFrame(PlanarFrame(y, u, v, layout, color), alpha)


def flat(layout, color, y, u, v, size=(8, 16)):
    planes = [
        np.full((-(-size[0] >> sy), -(-size[1] >> sx)), value, layout.dtype)
        for value, sx, sy in (
            (y, 0, 0),
            (u, layout.chroma_shift_x, layout.chroma_shift_y),
            (v, layout.chroma_shift_x, layout.chroma_shift_y),
        )
    ]
    alpha = np.full(size, layout.peak, layout.dtype)
    return StraightFrame(PlanarFrame(*planes, layout, color), alpha)


def full_size(plane, axis, luma, step, offset):
    """Chroma along one axis, linear between samples, by numpy's own interpolation."""
    sites = step * np.arange(plane.shape[axis]) + offset
    return np.apply_along_axis(
        lambda line: np.interp(np.arange(luma) + 0.5, sites, line), axis, plane.astype(float)
    )


def reference_signal(frame):
    """R'G'B' 0..1 in double precision; each eye's chroma by itself."""
    picture = frame.picture
    sites = chroma_sites(picture.layout, picture.color)
    chroma = []
    for plane in (picture.u, picture.v):
        rows = full_size(plane, 0, picture.height, sites.step_y, sites.offset_y)
        eyes = np.split(rows, 2, axis=1)
        half = picture.width // 2
        chroma.append(
            np.hstack([full_size(eye, 1, half, sites.step_x, sites.offset_x) for eye in eyes])
        )
    matrix = yuv_to_rgb(picture.color.matrix, picture.layout.bit_depth, picture.color.full_range)
    yuv = np.stack([picture.y.astype(float), *chroma], axis=-1)
    return np.clip(yuv @ matrix[:, :3].T + matrix[:, 3], 0, None)


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10, YUV444P, YUVA444P10])
@pytest.mark.parametrize("color", [BT709, PQ, ColorTags(5, 6, 5, True)])
def test_colours_are_within_a_code_of_double_precision(layout, color):
    frame = noise(layout, color)
    made = paint_rgba(frame, "video")
    peak = 255 if layout.bit_depth == 8 else 65535
    exact = np.minimum(reference_signal(frame), 1) * peak
    # Half a code is rounding; the rest is single precision, a hundredth of a 16-bit code.
    assert np.abs(made[..., :3] - exact).max() < 0.52
    assert made.dtype == layout.dtype


@pytest.mark.parametrize("location", range(7))
def test_chroma_is_placed_where_the_video_says(location):
    frame = noise(YUV420P10, replace(BT709, chroma_location=location))
    made = paint_rgba(frame, "video")
    exact = np.minimum(reference_signal(frame), 1) * 65535
    assert np.abs(made[..., :3] - exact).max() < 0.52


def test_no_colour_of_one_eye_reaches_the_other():
    frame = flat(YUV420P, BT709, 128, 128, 128)
    changed = frame.picture.v.copy()
    changed[:, changed.shape[1] // 2 :] = 250
    before = paint_rgba(frame, "video")
    after = paint_rgba(replace(frame, picture=replace(frame.picture, v=changed)), "video")
    assert np.array_equal(before[:, :8], after[:, :8])
    assert (before[:, 8:, 0] < after[:, 8:, 0]).all()


def test_odd_chroma_widths_are_painted_as_one_picture():
    made = paint_rgba(flat(YUV420P, BT709, 235, 128, 128, size=(5, 6)), "video")
    assert (made == 255).all()


def test_eight_bit_alpha_is_kept_and_ten_bit_alpha_is_scaled_exactly():
    frame = noise(YUV420P)
    assert np.array_equal(paint_rgba(frame, "video")[..., 3], frame.alpha)
    deep = noise(YUV420P10)
    exact = np.floor(deep.alpha.astype(float) * 65535 / 1023 + 0.5)
    scaled = paint_rgba(deep, "video")[..., 3]
    assert np.array_equal(scaled, exact)
    assert scaled[deep.alpha == 1023].min(initial=65535) == 65535


@pytest.mark.parametrize("light", ["video", "linear"])
def test_rows_are_those_of_the_whole_picture(light):
    frame = noise(YUV420P10, PQ)
    painter = RgbaPainter((48, 20), YUV420P10, PQ, light)
    parts = [painter.rows(frame, first, min(first + 7, 20)) for first in range(0, 20, 7)]
    assert np.array_equal(np.concatenate(parts), paint_rgba(frame, light))


@pytest.mark.parametrize("color", [BT709, PQ, HLG, ColorTags(1, 13, 1), ColorTags()])
def test_linear_light_is_the_curve_undone(color):
    frame = noise(YUV420P10, color)
    made = paint_rgba(frame, "linear")
    assert made.dtype == np.float16
    exact = linear_light(np.minimum(reference_signal(frame), 1.25), color.transfer)
    # A half float holds 11 bits (2**-12 by rounding). Signals are told apart to 1.25 / 65535, a
    # fiftieth of a 10-bit code; PQ and HLG, the steepest, change by 2e-4 over half of that.
    assert np.allclose(made[..., :3], exact, rtol=2**-12 + 4e-4, atol=1e-4)
    assert np.array_equal(made[..., 3], (frame.alpha / 1023).astype(np.float16))


@pytest.mark.parametrize(
    ("color", "code"),
    # Diffuse white: the peak of SDR, 75 % in HLG (BT.2408: 721), 58 % in PQ (573).
    [(BT709, 940), (HLG, 721), (PQ, 573)],
)
def test_diffuse_white_is_one(color, code):
    made = paint_rgba(flat(YUV420P10, color, code, 512, 512), "linear")
    # The nearest 10-bit code to 203 nits in PQ lies 0.5 % off.
    assert made[..., :3] == pytest.approx(1, rel=6e-3)


def test_brighter_than_white_is_kept_in_linear_light_and_darker_than_black_is_not():
    bright = paint_rgba(flat(YUV420P10, BT709, 1019, 512, 512), "linear")
    assert bright[..., :3].min() > 1.15
    assert (paint_rgba(flat(YUV420P10, BT709, 4, 512, 512), "linear")[..., :3] == 0).all()
    peak = paint_rgba(flat(YUV420P10, PQ, 1019, 512, 512), "linear")
    assert peak[..., :3] == pytest.approx(10000 / DIFFUSE_WHITE_NITS, rel=1e-3)


def test_curves_agree_with_published_values():
    # BT.709: 18 % grey is 0.409; sRGB: 0.5 is 0.2140; PQ: 0.5081 is 100 nits; HLG: 0.5 is 1/12.
    assert linear_light(np.array(0.409), 1) == pytest.approx(0.18, rel=2e-3)
    assert linear_light(np.array(0.5), 13) == pytest.approx(0.2140, rel=1e-3)
    assert linear_light(np.array(0.5081), 16) == pytest.approx(100 / 203, rel=1e-3)
    ratio = linear_light(np.array(1.0), 18) / linear_light(np.array(0.5), 18)
    assert ratio == pytest.approx(12, rel=1e-4)
    assert linear_light(np.array(0.5), 4) == pytest.approx(0.5**2.2)
    assert linear_light(np.array(1.0), 7) == 1


def test_unknown_curves_are_refused():
    with pytest.raises(InputError, match="transfer curve \\(code 9\\)"):
        RgbaPainter((8, 8), YUV420P, ColorTags(1, 9, 1), "linear")


def test_frames_of_another_kind_are_refused():
    painter = RgbaPainter((48, 20), YUV420P10, BT709, "video")
    with pytest.raises(ValueError, match="expected yuv420p10le"):
        painter.rows(noise(YUV420P), 0, 4)
    with pytest.raises(ValueError, match="expected yuv420p10le"):
        painter.rows(noise(YUV420P10, height=22), 0, 4)
