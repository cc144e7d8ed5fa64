"""Every file of one run holds what it promises: alpha, colours, times, boxes, eyes, projection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from support.faults import around
from support.media.deliverable_runs import (
    ALL,
    CHUNK_FRAMES,
    EYE,
    FRAMES,
    STEM,
    Made,
    contents,
    layout_of,
    made_of,
    pictures_in,
    planes_of,
    run,
    write_source,
)
from support.media.fisheye_pictures import frame_by_fisheye, write_frames
from support.media.media_fixtures import BT709, PQ
from support.media.rgba_images import paint_rgba
from support.media.straight_files import read_straight
from vrmatte.colorimetry import rgb_to_yuv
from vrmatte.compose.alpha_packed import unpack_alpha
from vrmatte.compose.edge_controls import EdgeControls
from vrmatte.compose.preview import preview_size
from vrmatte.compose.reproject import Reprojector
from vrmatte.compose.straight import scaled_alpha
from vrmatte.errors import ConfigError
from vrmatte.frames import EYES, ColorTags, Eye, StraightFrame, half_of
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.media.containers.spherical import read_boxes
from vrmatte.media.decode import read_grey
from vrmatte.media.sequences.sequence import read_sequence_frame
from vrmatte.progress import Advanced, Event, Notice

QUALITY = 10
"""Better than the default, so that codecs hide little."""
HLG = ColorTags(primaries=9, transfer=18, matrix=9)
FULL = ColorTags(1, 1, 1, full_range=True)
HEVC10 = {"codec": "libx265", "pix_fmt": "yuv420p10le"}
SOURCES: Mapping[str, dict[str, Any]] = {
    "8-bit": {"color": BT709, "audio": ("aac",)},
    "8-bit-full": {"color": FULL, "pix_fmt": "yuvj420p", "full_range": True},
    "pq": {"color": PQ, **HEVC10, "audio": ("libopus",)},
    "hlg": {"color": HLG, **HEVC10},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("clip"), audio=("aac",))


@pytest.fixture(scope="module", params=SOURCES)
def made(request, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    return made_of(
        write_source(folder, **SOURCES[request.param]),
        folder / "out",
        output__deliver=ALL,
        output__quality=QUALITY,
    )


# --- one run, every file -------------------------------------------------------------------------


def test_names_are_what_players_expect(made):
    assert {name: path.name for name, path in made.files.items()} == {
        "matte": "clip_LR_180_matte.mp4",
        "matte-lossless": "clip_LR_180_matte.mkv",
        "xalpha": "clip_180_LR_XALPHA.mp4",  # the source's whole name
        "alpha-packed": "clip_FISHEYE190_alpha.mp4",
        "greenscreen": "clip_LR_180_greenscreen.mp4",
        "prores4444": "clip_LR_180_rgba.mov",
        "webm-alpha": "clip_LR_180_rgba.webm",
        "ffv1-alpha": "clip_LR_180_rgba.mkv",
        "png": "clip_LR_180_png",
        "exr": "clip_LR_180_exr",
        "preview": "clip_2D_preview.mp4",
        "confidence": "clip_LR_180_confidence.mp4",
        "overlay": "clip_2D_detections.mp4",
    }


def test_every_file_has_every_frame_at_its_time(made):
    tick = made.source.time_base
    wanted = [frame.pts for frame in made.frames]
    assert len(wanted) == FRAMES
    for name, path in made.files.items():
        if path.is_dir():
            listed = json.loads((path / "frames.json").read_text())["frames"]
            assert [Fraction(frame["seconds"]) / tick for frame in listed] == wanted
            assert [frame["number"] for frame in listed] == list(range(FRAMES))
            continue
        with av.open(str(path)) as container:
            found = [f.pts * f.time_base for f in container.decode(video=0)]
        # Matroska's clock is another; every time must come back by rounding.
        assert [round(time / tick) for time in found] == wanted, name


def test_mattes_come_back(made):
    lossless = [matte for _, matte in read_grey(made.files["matte-lossless"])]
    np.testing.assert_array_equal(lossless, made.mattes)
    for name in ("matte", "xalpha"):
        frames = planes_of(made.files[name], layout_of(made.files[name]))
        for frame, matte in zip(frames, made.mattes, strict=True):
            step = 1 << (frame.layout.bit_depth - 8)
            alpha = (frame.y.astype(float) - 16 * step) / (219 * step) * 255
            # HEVC, of 255: what it costs soft ramps.
            assert np.abs(alpha - matte).mean() < 0.5
            assert np.percentile(np.abs(alpha - matte), 99) < 8


@pytest.mark.parametrize(
    ("name", "mean", "worst"),
    # Of 255. Ten bits round 8-bit alpha by an eighth; VP9 rounds soft edges of such small eyes.
    [("prores4444", 0.002, 0.13), ("ffv1-alpha", 0.002, 0.13), ("webm-alpha", 0.3, 30)],
)
def test_straight_alpha_is_the_matte(made, name, mean, worst):
    for frame, matte in zip(read_straight(made.files[name]), made.mattes, strict=True):
        if name != "webm-alpha":
            wanted = scaled_alpha(matte, frame.picture.layout)
            np.testing.assert_array_equal(frame.alpha, wanted)
        off = np.abs(frame.alpha.astype(float) * 255 / frame.picture.layout.peak - matte)
        assert off.mean() <= mean
        assert off.max() <= worst


@pytest.mark.parametrize(
    ("name", "mean", "worst"),
    # Luma, of 255: FFV1 exact, ProRes quantises a little, VP9 at CRF 18 more.
    [("ffv1-alpha", 0, 0), ("prores4444", 0.5, 3), ("webm-alpha", 1.5, 14)],
)
def test_opaque_colours_are_the_sources(made, name, mean, worst):
    old = luma_codes(made.source.layout.bit_depth, made.source.color.full_range)
    for at, straight in enumerate(read_straight(made.files[name])):
        picture, frame = straight.picture, made.frames[at]
        new = luma_codes(picture.layout.bit_depth, picture.color.full_range)
        wanted = (frame.y - old[0]) / old[1] * 255
        off = np.abs((picture.y - new[0]) / new[1] * 255 - wanted)[made.opaque(at)]
        assert off.mean() <= mean + 1e-9
        assert off.max() <= worst + 1e-9
        if name != "prores4444" and picture.layout.chroma_shift_x and old == new:
            chroma = made.opaque(at)[::2, ::2]
            assert np.abs(picture.u.astype(int) - frame.u)[chroma].max() <= worst
            assert np.abs(picture.v.astype(int) - frame.v)[chroma].max() <= worst


def luma_codes(depth: int, full: bool) -> tuple[int, int]:
    """Black, and how far white lies above it."""
    step = 1 << (depth - 8)
    return (0, (1 << depth) - 1) if full else (16 * step, 219 * step)


def test_prores_has_the_range_of_video_and_says_so(made):
    with av.open(str(made.files["prores4444"])) as container:
        context = container.streams.video[0].codec_context
        found = context.color_primaries, context.color_trc, context.colorspace
    color = made.source.color
    assert found == (color.primaries, color.transfer, color.matrix)
    told = [text for text in made.report.notices if "converted to video range" in text]
    assert len(told) == color.full_range


@pytest.mark.parametrize("name", ["png", "exr"])
def test_pictures_hold_matte_and_colours_exactly(made, name):
    light = "linear" if name == "exr" else "video"
    for at, picture in enumerate(pictures_in(made.files[name])):
        frame, matte = made.frames[at], made.mattes[at]
        alpha = scaled_alpha(matte, frame.layout)
        wanted = paint_rgba(StraightFrame(frame, alpha), light)
        np.testing.assert_array_equal(picture[..., 3], wanted[..., 3])
        opaque = made.opaque(at)
        np.testing.assert_array_equal(picture[opaque], wanted[opaque])
        peak = 1 if name == "exr" else np.iinfo(picture.dtype).max
        # Of 255: halves have eleven bits, and 10-bit alpha is rounded from 8.
        assert np.abs(picture[..., 3].astype(float) / peak * 255 - matte).max() <= 0.3


def test_green_screen_shows_the_people_before_the_colour(made):
    layout, color = made.source.layout, made.source.color
    key = rgb_to_yuv((0, 255, 0), color.matrix, layout.bit_depth, color.full_range)
    step = 1 << (layout.bit_depth - 8)
    for at, frame in enumerate(planes_of(made.files["greenscreen"], layout, color)):
        empty = cv2.dilate(made.mattes[at], np.ones((9, 9), np.uint8)) == 0
        off = np.abs(frame.y.astype(int) - key[0])[empty] / step
        assert off.mean() < 1  # CRF 18 or 20 on a flat colour
        off = np.abs(frame.y.astype(int) - made.frames[at].y)[made.opaque(at)] / step
        assert off.mean() < 2  # the same on smooth colours


def test_packed_alpha_is_the_matte(made):
    layout, color = made.source.layout, made.source.color
    for at, frame in enumerate(planes_of(made.files["alpha-packed"], layout, color)):
        found = unpack_alpha(frame, 190).astype(int)
        # 0.4 of the resolution and a codec: soft edges of such small eyes cost some steps.
        assert np.abs(found - made.mattes[at]).mean() < 8
        assert found[made.opaque(at)].mean() > 240
    packed = made.report.files[3].checks["packed_alpha"]
    assert packed["sampled_frames"] == 3


def test_preview_opens_and_has_its_size(made):
    frames = planes_of(made.files["preview"], layout_of(made.files["preview"]))
    assert (frames[0].width, frames[0].height) == preview_size(2 * EYE, EYE)
    wide = frames[0].width // 3
    row = frames[5].y[: frames[0].height // 2, wide : 2 * wide]
    matte = cv2.resize(half_of(made.mattes[5], Eye.LEFT), row.shape[::-1])
    assert np.abs((row.astype(float) - 16) / 219 * 255 - matte).mean() < 4  # CRF 24


def test_boxes_stand_where_players_look_for_them(made):
    for name, path in made.files.items():
        boxes = None if path.is_dir() else read_boxes(path)
        if name in ("matte", "xalpha", "confidence", "greenscreen", "prores4444"):
            assert boxes is not None, name
            assert (boxes.stereo_mode, boxes.is_half_equirect) == (2, True), name
            assert b"vexu" not in path.read_bytes()
        else:
            assert boxes is None, name


def test_sound_goes_along_where_it_can(made):
    codecs = {s.codec for s in made.source.streams}
    lost = {"webm-alpha"} if codecs == {"aac"} else {"prores4444"} if codecs else set()
    for name, path in made.files.items():
        if path.is_dir():
            continue
        with av.open(str(path)) as container:
            sound = len(container.streams.audio)
        assert sound == (0 if name == "xalpha" or name in lost else len(codecs)), name
    told = [text for text in made.report.notices if "does not contain" in text]
    assert len(told) == len(lost)
    for name, text in zip(lost, told, strict=True):
        assert text.startswith(f"{made.files[name].name} does not contain source stream 1, audio")


# --- eyes apart ----------------------------------------------------------------------------------

SPLIT = ("matte-lossless", "ffv1-alpha", "png", "exr", "greenscreen", "alpha-packed", "preview")


@pytest.fixture(scope="module", params=["8-bit", "pq"])
def both_ways(request, tmp_path_factory) -> tuple[Made, Made]:
    """The same source with its eyes side by side, and apart."""
    folder = tmp_path_factory.mktemp("eyes")
    clip = write_source(folder, **SOURCES[request.param])
    together = made_of(clip, folder / "together", output__deliver=SPLIT)
    apart = made_of(clip, folder / "apart", output__deliver=SPLIT, output__maintain_sbs=False)
    return together, apart


def test_each_eye_is_exactly_its_half(both_ways):
    together, apart = both_ways
    for eye in EYES:
        whole = [m for _, m in read_grey(together.files["matte-lossless"])]
        ours = [m for _, m in read_grey(apart.files[f"matte-lossless-{eye.value}"])]
        np.testing.assert_array_equal(ours, [half_of(m, eye) for m in whole])
        for kind in ("png", "exr"):
            whole = pictures_in(together.files[kind])
            ours = pictures_in(apart.files[f"{kind}-{eye.value}"])
            np.testing.assert_array_equal(ours, [half_of(picture, eye) for picture in whole])
        frames = zip(
            read_straight(together.files["ffv1-alpha"]),
            read_straight(apart.files[f"ffv1-alpha-{eye.value}"]),
            strict=True,
        )
        for one, other in frames:
            half = one.picture.eye(eye)
            np.testing.assert_array_equal(other.alpha, half_of(one.alpha, eye))
            for name in ("y", "u", "v"):
                np.testing.assert_array_equal(getattr(other.picture, name), getattr(half, name))


def test_eyes_apart_have_names_and_boxes_of_their_own(both_ways):
    files = both_ways[1].files
    names = {name: path.name for name, path in files.items()}
    for eye in ("left", "right"):
        assert names[f"greenscreen-{eye}"] == f"clip_{eye}_180_greenscreen.mp4"
        assert names[f"png-{eye}"] == f"clip_{eye}_180_png"
        boxes = read_boxes(files[f"greenscreen-{eye}"])
        assert (boxes.stereo_mode, boxes.is_half_equirect) == (0, True)
        with av.open(str(files[f"greenscreen-{eye}"])) as container:
            assert (container.streams.video[0].width, container.streams.video[0].height) == (
                EYE,
            ) * 2
            assert len(container.streams.audio) == 1


def test_what_needs_both_eyes_keeps_them(both_ways):
    together, apart = both_ways
    for name in ("alpha-packed", "preview"):
        assert apart.files[name].read_bytes() == together.files[name].read_bytes()


# --- another projection --------------------------------------------------------------------------

TURNED = ("matte-lossless", "ffv1-alpha", "png", "greenscreen", "alpha-packed", "matte", "xalpha")


def check_reprojected(made: Made, to_show: Any) -> None:
    shows = made.source.eye_projection
    assert shows != to_show
    turned = Reprojector(shows, to_show, made.source.layout, made.source.color)
    mattes = [turned.matte(matte) for matte in made.mattes]
    frames = [turned.frame(frame) for frame in made.frames]
    stored = [m for _, m in read_grey(made.files["matte-lossless"])]
    np.testing.assert_array_equal(stored, mattes)
    opaque = [cv2.erode((m == 255).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0 for m in mattes]
    assert min(o.sum() for o in opaque) > 400
    for at, straight in enumerate(read_straight(made.files["ffv1-alpha"])):
        np.testing.assert_array_equal(straight.alpha, mattes[at])
        np.testing.assert_array_equal(straight.picture.y[opaque[at]], frames[at].y[opaque[at]])
    for at, picture in enumerate(pictures_in(made.files["png"])):
        wanted = paint_rgba(StraightFrame(frames[at], mattes[at]), "video")
        np.testing.assert_array_equal(picture[opaque[at]], wanted[opaque[at]])
        np.testing.assert_array_equal(picture[..., 3], mattes[at])


def test_half_equirect_to_fisheye(clip, tmp_path):
    made = made_of(clip, tmp_path / "out", output__deliver=TURNED, output__projection="fisheye")
    check_reprojected(made, Fisheye(EYE, 190))
    names = {name: path.name for name, path in made.files.items()}
    assert names["greenscreen"] == "clip_FISHEYE190_greenscreen.mp4"
    assert names["matte-lossless"] == "clip_FISHEYE190_matte.mkv"
    # It lies over none of the source's pictures, so it is not called after the source.
    assert names["xalpha"] == "clip_FISHEYE190_XALPHA.mp4"
    assert not [n for n in ("greenscreen", "matte", "xalpha") if read_boxes(made.files[n])]
    plain = run(clip, tmp_path / "plain", output__deliver=("alpha-packed",))
    packed = Path(plain.files[0].path)
    assert packed.read_bytes() == made.files["alpha-packed"].read_bytes()


@pytest.fixture(scope="module")
def fisheye_clip(clip, tmp_path_factory) -> Path:
    """The same people as a lens of 200 degrees shows them."""
    path = tmp_path_factory.mktemp("fisheye") / "clip_MKX200.mp4"
    frames = planes_of(clip, layout_of(clip))
    write_frames(path, [frame_by_fisheye(frame, 200) for frame in frames])
    return path


def test_fisheye_to_half_equirect(fisheye_clip, tmp_path):
    made = made_of(
        fisheye_clip, tmp_path / "out", output__deliver=TURNED, output__projection="half_equirect"
    )
    check_reprojected(made, HalfEquirect(EYE))
    names = {name: path.name for name, path in made.files.items()}
    assert names["greenscreen"] == "clip_LR_180_greenscreen.mp4"
    assert names["xalpha"] == "clip_LR_180_XALPHA.mp4"
    assert read_boxes(made.files["greenscreen"]).stereo_mode == 2


def test_a_fisheye_source_end_to_end(fisheye_clip, tmp_path):
    asked = ("alpha-packed", "greenscreen", "matte", "matte-lossless", "xalpha")
    made = made_of(fisheye_clip, tmp_path / "out", output__deliver=asked)
    assert {name: path.name for name, path in made.files.items()} == {
        "alpha-packed": "clip_FISHEYE190_alpha.mp4",
        "greenscreen": "clip_MKX200_greenscreen.mp4",
        "matte": "clip_MKX200_matte.mp4",
        "matte-lossless": "clip_MKX200_matte.mkv",
        "xalpha": "clip_MKX200_XALPHA.mp4",
    }
    lossless = [matte for _, matte in read_grey(made.files["matte-lossless"])]
    np.testing.assert_array_equal(lossless, made.mattes)
    assert not any(read_boxes(path) for path in made.files.values() if path.suffix == ".mp4")
    view = made.source.eye_projection
    for at, frame in enumerate(planes_of(made.files["alpha-packed"], made.source.layout)):
        found = unpack_alpha(frame, 190, view=view).astype(int)
        assert np.abs(found - made.mattes[at]).mean() < 8  # as for half-equirectangular eyes
        assert found[made.opaque(at)].mean() > 240
    for at, frame in enumerate(planes_of(made.files["matte"], layout_of(made.files["matte"]))):
        alpha = (frame.y.astype(float) - 64) / 876 * 255
        assert np.abs(alpha - made.mattes[at]).mean() < 1  # CRF 20


# --- edges ---------------------------------------------------------------------------------------


def test_edges_reach_every_file_but_not_the_store(clip, tmp_path):
    asked = ("matte-lossless", "ffv1-alpha", "png", "matte", "alpha-packed")
    plain = made_of(clip, tmp_path / "plain", output__deliver=asked)
    edge = {"choke_px": 1.5, "feather_px": 3}
    made = made_of(clip, tmp_path / "out", output__deliver=asked, output__edge=edge)
    np.testing.assert_array_equal(made.mattes, plain.mattes)
    control = EdgeControls(1.5, 3)
    mattes = [control(matte) for matte in made.mattes]
    assert np.mean(mattes) < np.mean(made.mattes)
    lossless = [matte for _, matte in read_grey(made.files["matte-lossless"])]
    np.testing.assert_array_equal(lossless, mattes)
    for at, straight in enumerate(read_straight(made.files["ffv1-alpha"])):
        np.testing.assert_array_equal(straight.alpha, mattes[at])
    for at, picture in enumerate(pictures_in(made.files["png"])):
        np.testing.assert_array_equal(picture[..., 3], mattes[at])
    for name in ("matte", "alpha-packed"):
        assert made.files[name].read_bytes() != plain.files[name].read_bytes()


def test_apple_boxes_come_on_request(clip, tmp_path):
    asked = ("greenscreen", "prores4444", "matte", "webm-alpha", "alpha-packed", "preview")
    made = made_of(clip, tmp_path / "out", output__deliver=asked, output__apple_boxes=True)
    marked = {name for name, path in made.files.items() if b"vexu" in path.read_bytes()}
    assert marked == {"greenscreen", "prores4444", "matte"}
    for name in marked:
        assert read_boxes(made.files[name]).stereo_mode == 2
        assert len(planes_of(made.files[name], layout_of(made.files[name]))) == FRAMES


# --- picture sequences ---------------------------------------------------------------------------


class Stop(KeyboardInterrupt):
    """The moment a test stops a run."""


def stop_after(frames: int) -> Any:
    def observer(event: Event) -> None:
        if isinstance(event, Advanced) and event.stage == "matte" and event.done >= frames:
            raise Stop

    return observer


def identity(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_a_stopped_sequence_keeps_its_whole_pictures(clip, tmp_path):
    asked = ("png", "exr", "greenscreen")
    undisturbed = tmp_path / "undisturbed"
    run(clip, undisturbed, output__deliver=asked)
    out = tmp_path / "out"
    with pytest.raises(Stop):
        run(clip, out, stop_after(CHUNK_FRAMES + 3), output__deliver=asked)
    kept = {p.name: identity(p) for p in out.rglob("*_[0-9]*.*") if p.suffix in (".png", ".exr")}
    middle = {f"clip_LR_180_png_{CHUNK_FRAMES:06d}.png", f"clip_LR_180_exr_{CHUNK_FRAMES:06d}.exr"}
    assert middle <= kept.keys()  # the second chunk was in the middle
    assert len(kept) < 2 * 2 * CHUNK_FRAMES
    run(clip, out, output__deliver=asked)
    finished = {p.name: identity(p) for p in out.glob("*/*_[0-9]*.*")}
    assert {name: finished[name] for name in kept} == kept
    assert contents(out) == contents(undisturbed)


def test_pictures_of_a_part_are_numbered_as_in_the_source(clip, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    run(clip, whole, output__deliver=("png",))
    run(clip, part, output__deliver=("png",), input__start=0.1, input__end=0.25)
    listed = json.loads((part / "clip_LR_180_png" / "frames.json").read_text())["frames"]
    assert [frame["number"] for frame in listed] == [3, 4, 5, 6, 7]
    assert [Fraction(frame["seconds"]) for frame in listed] == [
        Fraction(1001 * n, 30000) for n in range(3, 8)
    ]
    for frame in listed:
        pair = [
            read_sequence_frame(out / "clip_LR_180_png" / frame["file"]) for out in (whole, part)
        ]
        both = (pair[0][..., 3] == 255) & (pair[1][..., 3] == 255)
        opaque = cv2.erode(both.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert opaque.sum() > 400
        np.testing.assert_array_equal(pair[0][opaque], pair[1][opaque])


@pytest.mark.parametrize("keeps", [False, True])
def test_chunks_of_pictures_are_kept_where_asked(clip, tmp_path, keeps):
    out = tmp_path / "out"
    run(
        clip,
        out,
        output__deliver=("png", "greenscreen"),
        performance__preserve_intermediates=keeps,
    )
    chunks = out / ".vrmatte" / STEM / "chunks"
    assert len(list(chunks.glob("*/png/*.png"))) == (FRAMES if keeps else 0)
    assert len(list(chunks.glob("*/png.json"))) == (3 if keeps else 0)
    assert len(list(chunks.glob("*/greenscreen.mp4"))) == (3 if keeps else 0)
    made = {path: identity(path) for path in out.glob("*/*.png")}
    run(clip, out, output__deliver=("png", "greenscreen"))
    assert {path: identity(path) for path in made} == made


def test_a_damaged_picture_is_made_again_before_the_join(clip, tmp_path, monkeypatch):
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    run(clip, undisturbed, output__deliver=("png",))
    around(monkeypatch, "vrmatte.commands.run.finish_deliverables", stopped)
    with pytest.raises(Stop):
        run(clip, out, output__deliver=("png",))
    monkeypatch.undo()
    pictures = sorted((out / ".vrmatte").rglob("*.png"))
    data = bytearray(pictures[5].read_bytes())
    data[len(data) // 2] ^= 0x10
    pictures[5].write_bytes(data)
    before = {path.name: identity(path) for path in pictures}
    said: list[str] = []
    run(
        clip,
        out,
        lambda e: said.append(e.text) if isinstance(e, Notice) else None,
        output__deliver=("png",),
    )
    assert [text for text in said if "images were damaged; redoing them" in text]
    assert contents(out) == contents(undisturbed)
    after = {path.name: identity(path) for path in out.glob("*/*.png")}
    assert {name for name in before if after[name] != before[name]} == {pictures[5].name}


def stopped(*_: Any) -> None:
    raise Stop


def test_a_finished_sequence_that_lost_a_picture_is_made_again(clip, tmp_path):
    out = tmp_path / "out"
    run(clip, out, output__deliver=("png",))
    wanted = contents(out)
    (out / "clip_LR_180_png" / "clip_LR_180_png_000006.png").unlink()
    run(clip, out, output__deliver=("png",))
    assert contents(out) == wanted


# --- names ---------------------------------------------------------------------------------------


def test_a_template_names_every_file_but_xalphas(clip, tmp_path):
    report = run(
        clip,
        tmp_path / "out",
        output__deliver=("greenscreen", "png", "xalpha"),
        output__maintain_sbs=False,
        output__name_template="{kind} of {stem}, {eye} eye, {projection}",
    )
    assert sorted(Path(file.path).name for file in report.files) == [
        "clip_left_180_XALPHA.mp4",
        "clip_right_180_XALPHA.mp4",
        "greenscreen of clip, left eye, 180.mp4",
        "greenscreen of clip, right eye, 180.mp4",
        "png of clip, left eye, 180",
        "png of clip, right eye, 180",
    ]


@pytest.mark.parametrize(
    ("template", "asked", "name"),
    [
        ("{stem}", ("matte", "greenscreen"), "clip.mp4"),
        ("{stem}_180_LR", ("greenscreen",), f"{STEM}.mp4"),
        ("{stem}_180_lr", ("greenscreen",), f"{STEM.lower()}.mp4"),
        ("{stem}", ("png", "exr"), "clip"),
    ],
)
def test_shared_names_are_refused_before_anything_is_made(clip, tmp_path, template, asked, name):
    with pytest.raises(ConfigError, match=f'two files the name "{name}"'):
        run(clip, tmp_path / "out", output__deliver=asked, output__name_template=template)
    assert contents(tmp_path / "out") == {}


def test_a_file_of_an_earlier_run_is_not_written_over(clip, tmp_path):
    out = tmp_path / "out"
    run(clip, out, output__deliver=("greenscreen",), output__name_template="{stem}")
    with pytest.raises(ConfigError, match=r"the greenscreen of an earlier run"):
        run(clip, out, output__deliver=("matte",), output__name_template="{stem}")
    (out / "clip.mp4").unlink()
    run(clip, out, output__deliver=("matte",), output__name_template="{stem}")
