"""A known matte, written in every way files hold one, comes back; what can't be read is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vrmatte.commands.read_mattes import matte_count, read_mattes
from vrmatte.commands.score import score_files
from vrmatte.errors import DamagedInputError, InputError

W, H, FRAMES = 128, 64, 4


def alpha(at: int) -> np.ndarray:
    rows, columns = np.mgrid[:H, :W]
    far = np.hypot(columns % (W // 2) - 30 - at, rows - 32)
    return (np.clip((20 - far) / 8 + 0.5, 0, 1) * 255).round().astype(np.uint8)


def write(path: Path, codec: str, layout: str, pictures, full: bool = False, **options) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(30), options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = W, H, layout
        stream.codec_context.color_range = 2 if full else 1
        for at, planes in enumerate(pictures):
            frame = av.VideoFrame(W, H, layout)
            for plane, samples in zip(frame.planes, planes, strict=True):
                data = np.frombuffer(plane, samples.dtype).reshape(plane.height, -1)
                np.asarray(data)[:, : samples.shape[1]] = samples
            frame.pts, frame.time_base = at, Fraction(1, 30)
            frame.color_range = 2 if full else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def grey(path: Path) -> Path:
    return write(path, "ffv1", "gray", ([alpha(i)] for i in range(FRAMES)), full=True)


def limited(path: Path, depth: int) -> Path:
    kind = np.uint8 if depth == 8 else np.uint16
    step = 1 << (depth - 8)

    def planes(at: int) -> list[np.ndarray]:
        luma = np.rint(16 * step + 219 * step * (alpha(at) / 255)).astype(kind)
        return [luma, *[np.full((H // 2, W // 2), 128 * step, kind)] * 2]

    layout = "yuv420p" if depth == 8 else "yuv420p10le"
    return write(path, "ffv1", layout, map(planes, range(FRAMES)))


def straight(path: Path, codec: str, layout: str, bits: int, **options) -> Path:
    kind = np.uint8 if bits == 8 else np.uint16
    small = (H // 2, W // 2) if "420" in layout else (H, W)

    def planes(at: int) -> list[np.ndarray]:
        peak = (1 << bits) - 1
        chroma = np.full(small, 1 << (bits - 1), kind)
        own = np.rint(alpha(at) * (peak / 255)).astype(kind)
        return [np.full((H, W), 1 << (bits - 1), kind), chroma, chroma, own]

    return write(path, codec, layout, map(planes, range(FRAMES)), **options)


def worst(path: Path) -> float:
    """Largest difference from what was written, of 255."""
    found = list(read_mattes(path))
    assert len(found) == FRAMES
    assert all(matte.dtype == np.float32 for matte in found)
    return max(float(np.abs(255 * m - alpha(i)).max()) for i, m in enumerate(found))


def test_grey_is_exact(tmp_path):
    assert worst(grey(tmp_path / "m.mkv")) < 1e-3


@pytest.mark.parametrize("depth", [8, 10])
def test_limited_range_is_stretched(tmp_path, depth):
    assert worst(limited(tmp_path / "m.mkv", depth)) < (0.6 if depth == 8 else 0.15)


@pytest.mark.parametrize(
    ("name", "codec", "layout", "bits", "off"),
    [
        ("a.mkv", "ffv1", "yuva420p", 8, 1e-3),
        ("a.mkv", "ffv1", "yuva444p10le", 10, 0.13),
        ("a.mov", "prores_ks", "yuva444p10le", 10, 0.4),
    ],
)
def test_straight_alpha_is_read_instead_of_the_picture(tmp_path, name, codec, layout, bits, off):
    options = {"profile": "4444", "alpha_bits": "16"} if codec == "prores_ks" else {}
    assert worst(straight(tmp_path / name, codec, layout, bits, **options)) < off


def test_a_folder_of_pictures_is_read_in_order(tmp_path):
    for at in range(FRAMES):
        own = np.zeros((H, W, 4), np.uint8)
        own[..., 3] = alpha(at)
        cv2.imwrite(str(tmp_path / f"p_{at:06d}.png"), own)
    assert worst(tmp_path) == pytest.approx(0, abs=1e-3)
    assert matte_count(tmp_path) == FRAMES


def test_a_picture_with_colours_alone_has_no_matte(tmp_path):
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="grey or has alpha"):
        list(read_mattes(tmp_path))


def test_an_empty_folder_and_a_missing_file_are_said(tmp_path):
    with pytest.raises(InputError, match="no PNG"):
        list(read_mattes(tmp_path))
    with pytest.raises(InputError, match="no such file"):
        list(read_mattes(tmp_path / "gone.mkv"))


def test_a_packed_name_isnt_believed_where_the_user_says_matte(tmp_path):
    path = grey(tmp_path / "x_FISHEYE190_alpha.mkv")
    plain = list(read_mattes(path, "matte"))
    assert np.abs(255 * plain[0] - alpha(0)).max() < 1e-3
    assert np.abs(255 * next(read_mattes(path)) - alpha(0)).mean() > 5


def test_videos_of_other_lengths_are_refused(tmp_path):
    long = grey(tmp_path / "long.mkv")
    short = write(tmp_path / "short.mkv", "ffv1", "gray", ([alpha(i)] for i in range(2)), full=True)
    for pair in ((long, short), (short, long)):
        with pytest.raises(InputError, match="ends after 2 frames"):
            score_files(*pair)


def test_a_file_that_breaks_off_is_said(tmp_path):
    whole = grey(tmp_path / "whole.mkv").read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole[:200])
    with pytest.raises((InputError, DamagedInputError)):
        list(read_mattes(broken))


def test_progress_is_told(tmp_path):
    path = grey(tmp_path / "m.mkv")
    told: list[object] = []
    report = score_files(path, path, every=2, observer=told.append)
    assert report.scored == FRAMES
    assert [type(event).__name__ for event in told] == [
        "Started",
        *["Advanced"] * FRAMES,
        "Finished",
    ]
