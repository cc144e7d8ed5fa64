from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from vrmatte.frames import (
    YUV420P,
    YUV420P10,
    YUVA420P,
    YUVA444P10,
    ColorTags,
    PlanarFrame,
    StraightFrame,
)
from vrmatte.media.planes import (
    grey_frame,
    plane_view,
    straight_frame,
    straight_layout,
    to_planar,
    to_straight,
    video_frame,
)

LIMITED, FULL = ColorTags(1, 1, 1), ColorTags(1, 1, 1, full_range=True)


def flat(pix_fmt: str, codes: tuple[int, int, int], full_range: bool = False) -> av.VideoFrame:
    frame = av.VideoFrame(62, 34, pix_fmt)
    frame.color_range = 2 if full_range else 1
    wide = frame.format.components[0].bits > 8
    for plane, code in zip(frame.planes, codes, strict=True):
        plane_view(plane, 2 if wide else 1)[:] = code
    return frame


def noise(layout, height: int = 34, width: int = 62) -> PlanarFrame:
    random = np.random.default_rng(1)
    shift_x, shift_y = layout.chroma_shift_x, layout.chroma_shift_y
    shapes = [(height, width)] + [(height >> shift_y, width >> shift_x)] * 2
    y, u, v = (random.integers(0, layout.peak + 1, s).astype(layout.dtype) for s in shapes)
    return PlanarFrame(y, u, v, layout, LIMITED, 7)


def test_a_view_leaves_out_the_padding_and_writes_through():
    frame = av.VideoFrame(62, 34, "yuv420p")
    assert frame.planes[0].line_size > 62
    view = plane_view(frame.planes[0], 1)
    assert view.shape == (34, 62)
    view[:] = 99
    assert (frame.to_ndarray()[:34] == 99).all()


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
def test_planes_survive_the_way_through_a_frame(layout):
    picture = noise(layout)
    back = to_planar(video_frame(picture), layout, LIMITED)
    for ours, theirs in zip(planes_of(back), planes_of(picture), strict=True):
        assert np.array_equal(ours, theirs)


def test_the_sources_own_layout_is_not_copied():
    for pix_fmt in ("yuv420p", "yuvj420p"):
        frame = av.VideoFrame(62, 34, pix_fmt)
        planar = to_planar(frame, YUV420P, FULL)
        plane_view(frame.planes[0], 1)[:] = 42
        assert (planar.y == 42).all()


@pytest.mark.parametrize("color", [LIMITED, FULL])
@pytest.mark.parametrize(
    ("pix_fmt", "layout", "shift"),
    [
        ("yuv444p", YUV420P, 0),
        ("yuv422p", YUV420P, 0),
        ("yuvj422p", YUV420P, 0),
        ("yuv422p10le", YUV420P10, 0),
        ("yuv444p12le", YUV420P10, 2),
    ],
)
def test_conversion_changes_neither_range_nor_colour(pix_fmt, layout, shift, color):
    if pix_fmt.startswith("yuvj") and not color.full_range:
        pytest.skip("always full range")
    deep = layout.bit_depth - 8
    codes = (200 << deep, 90 << deep, 160 << deep)
    source = flat(pix_fmt, tuple(code << shift for code in codes), color.full_range)
    planar = to_planar(source, layout, color)
    for plane, code in zip((planar.y, planar.u, planar.v), codes, strict=True):
        assert np.abs(plane.astype(int) - code).max() <= 1  # the converter's own rounding


def test_tags_go_with_the_frame():
    frame = video_frame(replace(noise(YUV420P), color=FULL))
    assert (int(frame.color_range), int(frame.colorspace)) == (2, 1)


def planes_of(picture: PlanarFrame):
    return picture.y, picture.u, picture.v


def test_a_matte_is_full_range_grey():
    matte = np.arange(34 * 62, dtype=np.uint16).reshape(34, 62).astype(np.uint8)
    frame = grey_frame(matte)
    assert (frame.format.name, int(frame.color_range)) == ("gray", 2)
    assert np.array_equal(plane_view(frame.planes[0], 1), matte)


def straight_noise(layout) -> StraightFrame:
    picture = noise(layout)
    return StraightFrame(picture, picture.y[::-1, ::-1])


@pytest.mark.parametrize("layout", [YUVA420P, YUVA444P10])
def test_alpha_survives_the_way_through_a_frame(layout):
    straight = straight_noise(layout)
    frame = straight_frame(straight)
    assert straight_layout(frame) == layout
    back = to_straight(frame, layout, LIMITED)
    assert np.array_equal(back.alpha, straight.alpha)
    assert not np.array_equal(back.alpha, straight.picture.y)
    for ours, theirs in zip(planes_of(back.picture), planes_of(straight.picture), strict=True):
        assert np.array_equal(ours, theirs)


def test_an_odd_width_with_alpha():
    """Rows are padded to the width of FFmpeg's memory, and chroma is rounded up."""
    random = np.random.default_rng(2)
    y, u, v, alpha = (
        random.integers(0, 256, size, np.uint8) for size in [(35, 61), (18, 31), (18, 31), (35, 61)]
    )
    straight = StraightFrame(PlanarFrame(y, u, v, YUVA420P, FULL), alpha)
    frame = straight_frame(straight)
    assert int(frame.color_range) == 2
    back = to_straight(frame, YUVA420P, FULL)
    assert np.array_equal(back.alpha, alpha)
    assert np.array_equal(back.picture.v, v)


def test_twelve_bits_become_the_ten_they_were_made_from():
    frame = av.VideoFrame(62, 34, "yuva444p12le")
    ten = np.resize(np.arange(1024, dtype=np.uint16), (34, 62))
    for plane in frame.planes[:3]:
        plane_view(plane, 2)[:] = (ten << 2) + 1
    plane_view(frame.planes[3], 2)[:] = ten << 2 | ten >> 8
    straight = to_straight(frame, YUVA444P10, LIMITED)
    assert all(np.array_equal(p, ten) for p in (*planes_of(straight.picture), straight.alpha))
    for plane in frame.planes[:3]:
        plane_view(plane, 2)[:] = 4095
    assert to_straight(frame, YUVA444P10, LIMITED).picture.y.max() == 1023


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le", "gray", "rgba"])
def test_frames_that_are_no_picture_with_alpha(pix_fmt):
    assert straight_layout(av.VideoFrame(62, 34, pix_fmt)) is None
