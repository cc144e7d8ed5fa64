"""Sources as recorders and converters leave them: stream formats, late clocks, other tracks."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.media.media_fixtures import write_clip
from vrmatte.colorimetry import rgb_to_yuv
from vrmatte.commands.preview import preview_frame
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import ConfigError
from vrmatte.frames import ColorTags
from vrmatte.media.decode import read_frames
from vrmatte.media.probe import probe
from vrmatte.media.scan import scan_timeline
from vrmatte.progress import Notice, ignore
from vrmatte.report.report import RunReport

FRAMES = 24
ALL = ("greenscreen", "matte-lossless", "prores4444")


def run(video: Path, out: Path, *, deliver=ALL, notices=None, **limits) -> RunReport:
    settings = {
        "output": {"deliver": deliver, "report": "json", "encoder": "software"},
        "processing": {"chunk_size": 8},
        "input": limits,
    }

    def observe(event: object) -> None:
        if notices is not None and isinstance(event, Notice):
            notices.append(event.text)

    return matte_video(video, out, brightness_config(MATTES_ALONE, settings), observer=observe)


def remuxed(source: Path, target: Path, offset_seconds: float = 0, **options: str) -> Path:
    """Copy all streams into the container of the target's suffix, later by some seconds."""
    with (
        av.open(str(source)) as reading,
        av.open(str(target), "w", options={"avoid_negative_ts": "disabled", **options}) as writing,
    ):
        copies = {s.index: writing.add_stream_from_template(s) for s in reading.streams}
        for packet in reading.demux():
            if packet.dts is None:
                continue
            offset = round(Fraction(offset_seconds) / packet.time_base)
            packet.pts += offset
            packet.dts += offset
            packet.stream = copies[packet.stream_index]
            writing.mux(packet)
    return target


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES, audio=["aac"])
    return path


def starts(path: Path) -> list[float]:
    """The first time of each stream, in seconds."""
    with av.open(str(path)) as container:
        first: dict[int, float] = {}
        for packet in container.demux():
            if packet.size:
                time = float(packet.pts * packet.time_base)
                first[packet.stream_index] = min(time, first.get(packet.stream_index, time))
        return list(first.values())


def payloads(path: Path, kind: str = "audio") -> list[bytes]:
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [bytes(packet) for packet in container.demux(streams) if packet.size]


def test_aac_of_a_transport_stream_is_copied_without_its_headers(clip, tmp_path):
    source = remuxed(clip, tmp_path / "clip_LR_180.ts")
    assert all(payload[0] == 0xFF for payload in payloads(source))
    report = run(source, tmp_path / "out")
    for file in report.files:
        copied = payloads(file.path)
        assert copied == payloads(clip)[-len(copied) :]
        assert len(copied) >= len(payloads(clip)) - 1  # priming before the first video frame
    assert all(checked.problem is None for checked in verify_output(tmp_path / "out"))


LATE = [
    ("clip_LR_180.ts", 36000),
    pytest.param("clip_LR_180.mkv", 7200, marks=pytest.mark.slow),
    pytest.param("clip_LR_180.mp4", 7200, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "offset"), LATE)
def test_a_recording_that_begins_after_hours_begins_at_0(clip, tmp_path, name, offset):
    source = remuxed(clip, tmp_path / name, offset)
    assert min(starts(source)) > 1000
    report = run(source, tmp_path / "out")
    for file in report.files:
        assert min(starts(file.path)) < 0.1
        with av.open(str(file.path)) as container:
            assert container.duration < 2 * av.time_base, "an empty edit in front"
    # Video and audio keep their distance.
    expected = scan_timeline(probe(clip), ignore)
    made = scan_timeline(probe(next((tmp_path / "out").glob("*greenscreen.mp4"))), ignore)
    step = expected.seconds(1) - expected.seconds(0)
    assert made.seconds(1) - made.seconds(0) == pytest.approx(step, abs=1e-3)
    assert all(checked.problem is None for checked in verify_output(tmp_path / "out"))


@pytest.mark.parametrize(("name", "offset"), LATE)
def test_times_count_from_the_beginning_of_the_file(clip, tmp_path, name, offset):
    source = remuxed(clip, tmp_path / name, offset)
    report = run(source, tmp_path / "part", deliver=("greenscreen",), start=0.2, end=0.5)
    assert 8 <= report.frames <= 10
    preview = preview_frame(source, 0.4, tmp_path / "p.png", brightness_config(MATTES_ALONE))
    assert preview.at_seconds == pytest.approx(0.4, abs=0.05)
    with pytest.raises(ConfigError, match=r"the last frame of .* is at 0\.\d+ s"):
        preview_frame(source, 7200.4, tmp_path / "q.png", brightness_config(MATTES_ALONE))
    with pytest.raises(ConfigError, match=r"select no frames; the video lasts 0\.\d+ s"):
        run(source, tmp_path / "beyond", start=5)


def test_a_short_delay_by_an_edit_list_is_kept(tmp_path):
    """Players show it; a mask beside the source must have it too."""
    source = tmp_path / "clip_LR_180.mp4"
    write_clip(source, frames=FRAMES, start_offset=Fraction(1, 5), audio=["aac"])
    report = run(source, tmp_path / "out", deliver=("greenscreen",))
    begins = scan_timeline(probe(source), ignore).seconds(0)
    assert begins == pytest.approx(0.2, abs=0.05)
    assert scan_timeline(probe(report.files[0].path), ignore).seconds(0) == pytest.approx(begins)


def with_subtitles(clip: Path, target: Path, cues: list[tuple[float, float, str]]) -> Path:
    """Add a subtitle track to a copy of a clip."""

    def clock(seconds: float) -> str:
        return f"00:00:{seconds:06.3f}".replace(".", ",")

    text = "".join(
        f"{number}\n{clock(begin)} --> {clock(end)}\n{words}\n\n"
        for number, (begin, end, words) in enumerate(cues, 1)
    )
    written = target.with_suffix(".srt")
    written.write_text(text)
    with (
        av.open(str(clip)) as video,
        av.open(str(written)) as subtitles,
        av.open(str(target), "w") as writing,
    ):
        sources = (video, subtitles)
        copies = {
            (source, stream.index): writing.add_stream_from_template(stream)
            for source in sources
            for stream in source.streams
        }  # before the first packet, with which the header is written
        for source in sources:
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = copies[source, packet.stream_index]
                    writing.mux(packet)
    return target


def cues_of(path: Path) -> list[tuple[float, float, str]]:
    with av.open(str(path)) as container:
        return [
            (
                round(float(packet.pts * packet.time_base), 2),
                round(float((packet.pts + packet.duration) * packet.time_base), 2),
                bytes(packet).decode(),
            )
            for stream in container.streams
            if stream.type == "subtitle"
            for packet in container.demux(stream)
            if packet.size
        ]


CUES = [(0.05, 0.35, "across the start"), (0.4, 0.45, "inside"), (0.5, 0.75, "across the end")]


def test_subtitles_across_the_borders_of_a_part_are_kept_and_shortened(clip, tmp_path):
    source = with_subtitles(clip, tmp_path / "clip_LR_180.mkv", CUES)
    report = run(source, tmp_path / "out", deliver=("matte-lossless",), start=0.2, end=0.6)
    begin = scan_timeline(probe(source), ignore)
    first = begin.seconds(begin.index_at(0.2))
    last = begin.seconds(begin.index_at(0.6))
    stored = cues_of(source)
    expected = [(max(0, cue[0] - first), min(cue[1], last) - first, cue[2]) for cue in stored]
    assert [cue[2] for cue in expected] == [cue[2] for cue in CUES]
    for found, wanted in zip(cues_of(report.files[0].path), expected, strict=True):
        assert found[:2] == pytest.approx(wanted[:2], abs=0.011)
        assert found[2] == wanted[2]
    assert all(checked.problem is None for checked in verify_output(tmp_path / "out"))


def test_a_track_that_is_empty_in_a_part_is_left_out_and_named(clip, tmp_path):
    source = with_subtitles(clip, tmp_path / "clip_LR_180.mkv", [(0.02, 0.1, "early")])
    notices: list[str] = []
    arguments = {"deliver": ("matte-lossless",), "start": 0.3, "end": 0.6}
    report = run(source, tmp_path / "out", notices=notices, **arguments)
    assert cues_of(report.files[0].path) == []
    assert any("does not contain source stream 2, subtitle (srt)" in text for text in notices)
    whole = run(source, tmp_path / "whole", deliver=("matte-lossless",))
    assert [cue[2] for cue in cues_of(whole.files[0].path)] == ["early"]


def test_chapters_of_a_late_recording_are_kept(clip, tmp_path):
    source = tmp_path / "clip_LR_180.mkv"
    tick = Fraction(1, 1000)
    chapter = {"id": 1, "start": 7200_100, "end": 7200_500, "time_base": tick, "metadata": {}}
    late = remuxed(clip, tmp_path / "late.mkv", 7200)
    with (
        av.open(str(late)) as reading,
        av.open(str(source), "w", options={"avoid_negative_ts": "disabled"}) as writing,
    ):
        copies = {s.index: writing.add_stream_from_template(s) for s in reading.streams}
        writing.set_chapters([chapter])
        for packet in reading.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                writing.mux(packet)
    report = run(source, tmp_path / "out", deliver=("matte-lossless",))
    with av.open(str(report.files[0].path)) as container:
        (found,) = container.chapters()
        assert float(found["start"] * found["time_base"]) == pytest.approx(0.121, abs=0.03)


def test_the_clock_of_matroska_loses_no_frame(clip, tmp_path):
    """Encoders that give no durations made edit lists that hid the last frame of each chunk."""
    source = remuxed(clip, tmp_path / "clip_LR_180.mkv")
    assert run(source, tmp_path / "out").frames == FRAMES


RGB = (200, 60, 90)


def write_rgb(path: Path, codec: str, pix_fmt: str, frames: int = 6) -> None:
    """A video of one colour, stored as RGB."""
    picture = np.full((128, 256, 3), RGB, np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 256, 128, pix_fmt
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


RGB_VIDEOS = [
    ("clip_LR_180.mkv", "ffv1", "gbrp10le"),
    ("clip_LR_180.mov", "png", "rgb24"),
    pytest.param("clip_LR_180.mov", "qtrle", "rgb24", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), RGB_VIDEOS)
def test_rgb_is_converted_to_bt709_and_tagged_so(tmp_path, name, codec, pix_fmt):
    source = tmp_path / name
    write_rgb(source, codec, pix_fmt)
    notices: list[str] = []
    files = ("webm-alpha", "matte-lossless")
    report = run(source, tmp_path / "out", deliver=files, notices=notices)
    assert any("RGB frames are converted to BT.709" in text for text in notices)
    assert all(checked.problem is None for checked in verify_output(tmp_path / "out"))
    info = probe(source)
    assert (info.color.matrix, info.color.full_range) == (1, False)
    timeline = scan_timeline(info, ignore)
    (frame,) = read_frames(info, timeline, 0, 1)
    bits = frame.layout.bit_depth
    expected = rgb_to_yuv(RGB, 1, bits, full_range=False)
    for plane, code in zip((frame.y, frame.u, frame.v), expected, strict=True):
        assert np.abs(plane.astype(float) - code).max() <= 1.5 * 2 ** (bits - 8)
    assert report.frames == 6


def test_a_false_rgb_tag_on_luma_and_colour_differences_is_ignored(tmp_path):
    source = tmp_path / "clip_LR_180.mp4"
    write_clip(source, frames=6, color=ColorTags(primaries=1, transfer=1, matrix=0))
    assert probe(source).color.matrix == 2
    report = run(source, tmp_path / "out", deliver=("greenscreen", "webm-alpha"))
    assert report.frames == 6


def test_milliseconds_of_matroska_become_the_exact_rate(tmp_path):
    clip = tmp_path / "clip.mp4"
    # In so many frames 59.94 and 60 frames per second differ by more than a millisecond.
    write_clip(clip, frames=90, rate=Fraction(60000, 1001))
    source = remuxed(clip, tmp_path / "clip_LR_180.mkv")
    steps = set(np.diff(scan_timeline(probe(source), ignore).pts).tolist())
    assert steps == {16, 17}
    report = run(source, tmp_path / "out", deliver=("prores4444", "greenscreen"))
    for file in report.files:
        line = scan_timeline(probe(file.path), ignore)
        assert {step * line.time_base for step in np.diff(line.pts).tolist()} == {
            Fraction(1001, 60000)
        }
    assert all(checked.problem is None for checked in verify_output(tmp_path / "out"))


@pytest.mark.parametrize(
    "ticks_per_second", [pytest.param(10_000_000, marks=pytest.mark.slow), 705_600_000]
)
def test_clocks_finer_than_a_microsecond(tmp_path, ticks_per_second):
    source = tmp_path / "clip_LR_180.mp4"
    times = [round(Fraction(index * 1001 * ticks_per_second, 30000)) for index in range(FRAMES)]
    write_clip(source, pts=times, time_base=Fraction(1, ticks_per_second))
    report = run(source, tmp_path / "out", deliver=("matte-lossless", "greenscreen"))
    assert report.frames == FRAMES
