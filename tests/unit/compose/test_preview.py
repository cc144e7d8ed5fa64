from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.media.composed_edges import BT709, hair, to_frame, to_rgb, twice
from vrmatte.compose.preview import Preview, preview_size
from vrmatte.frames import YUV420P, YUV420P10, ColorTags, PixelLayout, PlanarFrame

PQ = ColorTags(9, 16, 9)
HLG = ColorTags(9, 18, 9)


def flat(rgb, layout=YUV420P10, color=BT709, size=64):
    return to_frame(np.ones((size, 2 * size, 3)) * rgb, layout, color)


def panels(picture):
    """Source, matte and composite of the first eye, RGB 0..1."""
    rgb = to_rgb(picture)[: picture.height // 2]
    return np.split(rgb, 3, axis=1)


@pytest.mark.parametrize(
    ("eye", "size"), [(64, (192, 128)), (322, (966, 644)), (1024, (1920, 1280))]
)
def test_the_size_is_even_at_most_1920_wide_and_as_promised(eye, size):
    chroma = np.full((-(-eye // 2), eye), 128, np.uint8)
    frame = PlanarFrame(np.full((eye, 2 * eye), 90, np.uint8), chroma, chroma, YUV420P, BT709, 5)
    made = Preview(YUV420P, BT709)(frame, np.zeros(frame.y.shape, np.uint8))
    assert preview_size(2 * eye, eye) == size == (made.width, made.height)
    assert (made.layout, made.pts) == (YUV420P, 5)
    assert (made.color.matrix, made.color.transfer, made.color.full_range) == (1, 1, False)


@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
@pytest.mark.parametrize("full_range", [False, True])
def test_panels_show_source_matte_and_people_over_a_checker(layout, full_range):
    color = replace(BT709, full_range=full_range)
    orange = (0.8, 0.4, 0.2)
    matte = np.zeros((64, 128), np.uint8)
    matte[:, :24] = 255
    source, alpha, people = panels(Preview(layout, color)(flat(orange, layout, color), matte))
    # Two roundings to 8-bit codes; chroma beside the panels' borders is mixed.
    inner = (slice(4, -4), slice(4, -4))
    assert np.abs(source[inner] - orange).max() < 0.02
    assert np.abs(alpha[inner][:, :14] - 1).max() < 0.01
    assert np.abs(alpha[inner][:, 24:]).max() < 0.01
    assert np.abs(people[4:-4, 4:20] - orange).max() < 0.02
    ground = people[4:-4, 30:-4].mean(axis=2)
    assert {0.4, 0.5} == set(np.round(ground[2::8, 2::8].ravel(), 1))


def test_rows_are_the_left_and_the_right_eye():
    frame = flat((0.5, 0.5, 0.5), YUV420P)
    matte = np.zeros((64, 128), np.uint8)
    matte[:, 64:] = 255
    made = Preview(YUV420P, BT709)(frame, matte)
    assert made.y[32, 96] == 16
    assert made.y[96, 96] == 235


def test_edges_are_averaged_without_what_is_behind():
    """Shrinking must not let white from beside the people into their outline."""
    size = 1280
    rgb = np.ones((size, 2 * size, 3))
    rgb[:, 401:] = 0.2
    matte = np.zeros((size, 2 * size), np.uint8)
    matte[:, 401:] = 255
    people = panels(Preview(YUV420P, BT709)(to_frame(rgb, YUV420P), matte))[2]
    # The panel's pixel 200 is half person, half ground: between 0.2 and 0.5, never lighter.
    assert people[:, 190:210].max() < 0.52


def pq_signal(nits):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (nits / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


@pytest.mark.parametrize(
    ("color", "grey", "white", "glare"),
    [(PQ, pq_signal(26), pq_signal(203), pq_signal(1000)), (HLG, 0.38, 0.75, 1.0)],
)
def test_hdr_looks_right_on_a_plain_screen(color, grey, white, glare):
    """18 % grey lands where SDR has it (0.41); white is light, glare lighter, nothing clips."""
    shown = []
    for signal in (grey, white, glare):
        frame = flat((signal,) * 3, YUV420P10, color)
        preview = Preview(YUV420P10, color)
        shown.append(panels(preview(frame, np.zeros(frame.y.shape, np.uint8)))[0][10:-10, 10:-10])
    levels = [float(s.mean()) for s in shown]
    assert levels[0] == pytest.approx(0.39, abs=0.06)
    assert 0.85 < levels[1] < 0.95
    assert levels[1] + 0.02 < levels[2] <= 1.0
    assert all(np.ptp(s) < 0.03 for s in shown), "grey stays grey"


def test_hdr_colours_keep_their_hue():
    """BT.2020 codes shown as BT.709 unconverted would be pale."""
    frame = flat((0.55, 0.3, 0.3), YUV420P10, PQ)
    matte = np.full(frame.y.shape, 255, np.uint8)
    source, _, people = panels(Preview(YUV420P10, PQ)(frame, matte))
    red, green, blue = source[10:-10, 10:-10].mean(axis=(0, 1))
    assert red > 0.5
    assert green < 0.05, "unconverted it is paler"
    assert blue < 0.2
    assert np.abs(people - source)[10:-10, 10:-10].max() < 0.02


def test_what_does_not_fit_is_refused():
    frame = twice(hair(64).frame())
    with pytest.raises(ValueError, match="matte of"):
        Preview(YUV420P, BT709)(frame, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="4:2:0"):
        Preview(PixelLayout("yuv444p", 8, 0, 0), BT709)
