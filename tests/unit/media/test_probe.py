from __future__ import annotations

import os
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import pytest

from support.media.media_fixtures import BT709, PQ, camera_clip, write_clip, write_edit_list_clip
from vrmatte.errors import ConfigError, DamagedInputError, InputError
from vrmatte.frames import YUV420P, YUV420P10, ColorTags
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.media.containers.geometry_evidence import read_geometry
from vrmatte.media.containers.spherical import SphericalBoxes, inject_boxes
from vrmatte.media.naming import FISHEYE_FOV_DEG
from vrmatte.media.probe import probe
from vrmatte.settings.config import LensName

HALF = SphericalBoxes(2, "equi", (0.0, 0.0, 0.25, 0.25))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe") / "clip.mp4"
    write_clip(path, audio=("aac", "ac3"))
    return path


def test_facts_of_a_plain_clip(clip: Path) -> None:
    source = probe(clip)
    assert (source.width, source.height, source.codec) == (256, 128, "h264")
    assert source.size_bytes == clip.stat().st_size
    assert source.container.startswith("mov,mp4")
    assert source.time_base == Fraction(1, 30000)
    assert source.average_rate == Fraction(30000, 1001)
    assert source.frames_from_header == 30
    assert source.duration_seconds == pytest.approx(1.001)
    assert (source.start_seconds, source.rotation_deg, source.chapters) == (0, 0, 0)
    assert (source.pixel_format, source.layout) == ("yuv420p", YUV420P)
    assert [(s.index, s.kind, s.codec) for s in source.streams] == [
        (1, "audio", "aac"),
        (2, "audio", "ac3"),
    ]
    assert source.streams[0].detail == "48000 Hz, stereo"
    assert source.streams[0].time_base == Fraction(1, 48000)
    assert source.spherical is None


@pytest.mark.parametrize(
    ("written", "pix_fmt", "codec", "full_range"),
    [
        (BT709, "yuv420p", "libx264", False),
        (BT709, "yuv420p", "libx264", True),
        (PQ, "yuv420p10le", "libx265", False),
        (ColorTags(5, 6, 5), "yuv420p", "libx265", True),
        (ColorTags(9, 18, 9), "yuv420p10le", "libx265", False),
    ],
)
def test_colour_tags(
    tmp_path: Path, written: ColorTags, pix_fmt: str, codec: str, full_range: bool
) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, color=written, pix_fmt=pix_fmt, codec=codec, full_range=full_range, frames=3)
    source = probe(path)
    color = source.color
    assert (color.primaries, color.transfer, color.matrix) == (
        written.primaries,
        written.transfer,
        written.matrix,
    )
    assert color.full_range is full_range
    assert color.is_hdr is (written.transfer in (16, 18))
    assert source.layout is (YUV420P10 if "10" in pix_fmt else YUV420P)


def test_yuvj_means_full_range(tmp_path: Path) -> None:
    path = tmp_path / "clip.mov"
    write_clip(path, codec="mjpeg", pix_fmt="yuvj420p", frames=3)
    source = probe(path)
    assert source.pixel_format == "yuvj420p"
    assert source.color.full_range


@pytest.mark.parametrize(("name", "number"), [("left", 0), ("center", 1), ("topleft", 2)])
def test_chroma_location(tmp_path: Path, name: str, number: int) -> None:
    path = tmp_path / f"{name}.mp4"
    write_clip(path, options={"x264-params": f"chromaloc={number}"}, frames=3)
    assert probe(path).color.chroma_location == number + 1


@pytest.mark.parametrize(
    ("pix_fmt", "codec"), [("yuv422p10le", "prores_ks"), ("yuv444p12le", "libx265")]
)
def test_deep_sources_are_worked_on_in_ten_bits(tmp_path: Path, pix_fmt: str, codec: str) -> None:
    path = tmp_path / "clip.mov"
    write_clip(path, codec=codec, pix_fmt=pix_fmt, frames=3)
    source = probe(path)
    assert (source.pixel_format, source.layout) == (pix_fmt, YUV420P10)


def test_rotation_and_trim(tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    write_clip(turned, rotation_deg=90, frames=3)
    assert probe(turned).rotation_deg == 90
    trimmed = tmp_path / "trimmed.mp4"
    write_edit_list_clip(trimmed, hidden=5)
    assert probe(trimmed).rotation_deg == 0


def test_cover_pictures_are_not_the_video(tmp_path: Path) -> None:
    path, still = tmp_path / "clip.mkv", tmp_path / "cover.jpg"
    frame = av.VideoFrame(1024, 1024, "yuvj420p")
    frame.save(str(still))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 256, 128, "yuv420p"
        container.add_attachment("cover.jpg", "image/jpeg", still.read_bytes())
        container.mux(video.encode(av.VideoFrame(256, 128, "yuv420p")))
        container.mux(video.encode(None))
    source = probe(path)
    assert source.width == 256
    assert [s.kind for s in source.streams] == ["video"]


def test_chapters_languages_and_titles(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.mp4", tmp_path / "clip.mkv"
    write_clip(plain, audio=("aac",), frames=30)
    with av.open(str(plain)) as read, av.open(str(path), "w") as write:
        copies = {s.index: write.add_stream_from_template(s) for s in read.streams}
        copies[1].metadata["language"] = "nld"
        copies[1].metadata["title"] = "Commentary"
        second = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {}}
        write.set_chapters([second])
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                write.mux(packet)
    source = probe(path)
    assert source.chapters == 1
    assert (source.streams[0].language, source.streams[0].title) == ("nld", "Commentary")


HOSTILE_NAMES = ["-y.mp4", "frame%03d.mp4", "quote'`$(x).mp4"]
if os.name != "nt":  # Windows has no such names
    HOSTILE_NAMES += [
        "http:example.mp4",
        "concat:a.mp4|b.mp4",
        "two\nlines.mp4",
        'quote".mp4',
        "pipe:0",
        os.fsdecode(b"not\xff\xfeunicode.mp4"),
    ]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_only_names(
    clip: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(clip, tmp_path / name)
    assert probe(tmp_path / name).width == 256
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).width == 256


def test_unusable_paths_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        probe(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="is a directory"):
        probe(tmp_path)
    with pytest.raises(InputError, match=r"can't be opened|no such file"):
        probe(Path("nul\0byte.mp4"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="not a regular file"):
        probe(tmp_path / "pipe.mp4")


def test_unusable_contents_are_told(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(b"")
    with pytest.raises(DamagedInputError, match="is empty"):
        probe(path)
    path.write_text("just some text\n" * 1000)
    with pytest.raises(InputError, match="not a video"):
        probe(path)
    data = clip.read_bytes()
    path.write_bytes(data[: data.index(b"moov")])
    with pytest.raises(DamagedInputError, match="cut off before its index"):
        probe(path)
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])
    with pytest.raises(DamagedInputError, match="first frame can't be decoded"):
        probe(path)


def test_sound_without_pictures_is_told(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(clip)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.audio[0])
        for packet in read.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    with pytest.raises(InputError, match="no video stream"):
        probe(path)


def test_scripts_and_pictures_are_no_videos(clip: Path, tmp_path: Path) -> None:
    """A playlist names other files; a picture name with % means many files."""
    shutil.copy(clip, tmp_path / "clip.mp4")
    script = tmp_path / "list.mp4"
    script.write_text("ffconcat version 1.0\nfile clip.mp4\n")
    with pytest.raises(InputError, match="accepted are MP4"):
        probe(script)
    av.VideoFrame(64, 64, "rgb24").save(str(tmp_path / "p1.png"))
    shutil.copy(tmp_path / "p1.png", tmp_path / "p%d.png")
    with pytest.raises(InputError, match="accepted are MP4"):
        probe(tmp_path / "p%d.png")


def test_sizes_beyond_reason_are_refused(tmp_path: Path) -> None:
    wide = tmp_path / "wide.mkv"
    write_clip(wide, size=(16400, 16), codec="ffv1", frames=1)
    with pytest.raises(InputError, match="16400 x 16 pixels; accepted are 1 to 16384"):
        probe(wide)
    long = tmp_path / "long.mp4"
    write_clip(long, pts=[0, 25 * 3600 * 1000], time_base=Fraction(1, 1000), bframes=False)
    with pytest.raises(InputError, match="24 hours"):
        probe(long)


@pytest.mark.parametrize(
    ("width", "height", "stereo", "projection"),
    [
        (6144, 3072, "side_by_side", "half_equirect"),
        (256, 128, "side_by_side", "half_equirect"),
        (3072, 6144, "top_bottom", "half_equirect"),
        (5760, 5760, "top_bottom", "equirect"),
        (3840, 2160, "mono", "flat"),
        (1080, 2160, "mono", "flat"),
        (1080, 1080, "mono", "flat"),
    ],
)
def test_shape_is_the_last_resort(width: int, height: int, stereo: str, projection: str) -> None:
    found = read_geometry("clip", av.VideoFrame(width, height, "gray"), None, "auto", "auto")
    assert (found.stereo, found.projection) == (stereo, projection)
    assert (found.stereo_evidence, found.projection_evidence) == ("shape", "shape")


def test_flag_beats_boxes_beats_name_beats_shape() -> None:
    frame = av.VideoFrame(256, 128, "gray")
    by_name = read_geometry("clip_TB_FISHEYE190", frame, None, "auto", "auto")
    assert (by_name.stereo, by_name.projection, by_name.fov_deg) == ("top_bottom", "fisheye", 190)
    assert by_name.stereo_evidence == by_name.projection_evidence == "name"

    by_boxes = read_geometry("clip_TB_FISHEYE190", frame, HALF, "auto", "auto")
    assert (by_boxes.stereo, by_boxes.projection) == ("side_by_side", "half_equirect")
    assert by_boxes.fov_deg == 180
    assert by_boxes.stereo_evidence == by_boxes.projection_evidence == "boxes"

    by_flag = read_geometry("clip_TB_FISHEYE190", frame, HALF, "mono", "flat")
    assert (by_flag.stereo, by_flag.projection) == ("mono", "flat")
    assert by_flag.stereo_evidence == by_flag.projection_evidence == "flag"


def test_layout_and_projection_have_evidence_of_their_own() -> None:
    frame = av.VideoFrame(256, 128, "gray")
    mixed = read_geometry("clip_FISHEYE190", frame, SphericalBoxes(4, None), "auto", "auto")
    assert (mixed.stereo, mixed.stereo_evidence) == ("side_by_side", "boxes")
    assert (mixed.projection, mixed.projection_evidence) == ("fisheye", "name")
    assert mixed.eyes_swapped
    mono = read_geometry("clip", frame, None, "mono", "auto")
    assert (mono.projection, mono.projection_evidence) == ("equirect", "shape")


@pytest.mark.parametrize(
    ("lens", "fov_deg"),
    [
        ("fisheye180", 180),
        ("fisheye190", 190),
        ("fisheye200", 200),
        ("mkx200", 200),
        ("mkx220", 220),
        ("rf52", 190),
        ("vrca220", 220),
    ],
)
def test_a_lens_is_known_by_flag_or_by_name(lens: LensName, fov_deg: float) -> None:
    frame = av.VideoFrame(256, 128, "gray")
    by_name = read_geometry(f"clip_{lens.upper()}", frame, None, "auto", "auto")
    assert (by_name.stereo, by_name.projection, by_name.fov_deg) == (
        "side_by_side",
        "fisheye",
        fov_deg,
    )
    assert by_name.fov_evidence == "name"
    for projection in ("auto", "fisheye"):
        by_flag = read_geometry("clip_FISHEYE", frame, HALF, "auto", projection, lens)
        assert (by_flag.projection, by_flag.fov_deg) == ("fisheye", fov_deg)
        assert by_flag.projection_evidence == by_flag.fov_evidence == "flag"


def test_every_lens_of_the_settings_is_known() -> None:
    assert set(get_args(LensName)) == FISHEYE_FOV_DEG.keys() - {"fisheye"}


def test_a_fisheye_that_nothing_tells_of_is_taken_for_180_degrees() -> None:
    frame = av.VideoFrame(256, 128, "gray")
    found = read_geometry("clip", frame, None, "auto", "fisheye")
    assert (found.projection_evidence, found.fov_deg, found.fov_evidence) == (
        "flag",
        180,
        "assumed",
    )
    named = read_geometry("clip_MKX220", frame, None, "auto", "fisheye")
    assert (named.fov_deg, named.fov_evidence) == (220, "name")


def test_a_lens_with_another_projection_is_refused(clip: Path) -> None:
    with pytest.raises(ConfigError, match="mkx200 is a fisheye, but"):
        probe(clip, projection="half_equirect", lens="mkx200")


def test_what_each_eye_shows(clip: Path) -> None:
    assert probe(clip).eye_projection == HalfEquirect(128)
    assert probe(clip, lens="rf52").eye_projection == Fisheye(128, 190)
    with pytest.raises(ValueError, match="mesh projection can't"):
        _ = replace(probe(clip), projection="mesh").eye_projection


def test_boxes_survive_in_matroska(clip: Path, tmp_path: Path) -> None:
    tagged, path = tmp_path / "tagged.mp4", tmp_path / "tagged.mkv"
    shutil.copy(clip, tagged)
    inject_boxes(tagged)
    assert probe(tagged).spherical == HALF
    with av.open(str(tagged)) as read, av.open(str(path), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    source = probe(path)
    assert (source.stereo, source.projection) == ("side_by_side", "half_equirect")
    assert source.evidence == "layout: boxes, projection: boxes"
    assert source.spherical is None


def test_camera_file() -> None:
    source = probe(camera_clip())
    assert (source.stereo, source.projection) == ("top_bottom", "mesh")
    assert source.evidence == "layout: boxes, projection: boxes"
    assert [s.kind for s in source.streams] == ["audio", "data"]
