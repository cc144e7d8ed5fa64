"""Every finished file keeps the source's times, sound, colours and bits, whatever the source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from support.brightness import brightness_config
from support.media.media_fixtures import BT709, NTSC, PQ, write_clip, write_edit_list_clip
from vrmatte.commands.run import matte_video
from vrmatte.frames import ColorTags
from vrmatte.media.decode import read_grey
from vrmatte.media.planes import plane_view
from vrmatte.report.report import RunReport

DELIVERABLES = ("matte", "matte-lossless", "greenscreen", "alpha-packed")
FRAMES = 26
"""Three chunks of 7 frames and a rest of 5."""


@dataclass(frozen=True)
class Sound:
    """One stream beside the video, as a demuxer gives it out."""

    codec: str
    times: tuple[Fraction, ...]
    payloads: tuple[bytes, ...]
    tick: Fraction

    @property
    def digest(self) -> str:
        return hashlib.sha256(b"".join(self.payloads)).hexdigest()


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(video=0)]


def tick_of(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        return Fraction(container.streams.video[0].time_base)


def other_streams(path: Path) -> list[Sound]:
    """All audio and subtitle streams, packet by packet."""
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        packets: dict[int, list[tuple[Fraction, bytes]]] = {s.index: [] for s in streams}
        for packet in container.demux():
            if packet.size and packet.stream_index in packets:
                time = packet.pts * Fraction(packet.time_base)
                packets[packet.stream_index].append((time, bytes(packet)))
        return [
            Sound(
                s.codec_context.codec.canonical_name,
                tuple(time for time, _ in packets[s.index]),
                tuple(payload for _, payload in packets[s.index]),
                Fraction(s.time_base),
            )
            for s in streams
        ]


def with_extras(path: Path, clip: Path, *, subtitle: Path | None = None) -> None:
    """Copy a clip and give it two chapters, and a subtitle track where asked."""
    second = Fraction(1, 1000)
    chapters = [
        {"id": n, "start": a, "end": b, "time_base": second, "metadata": {"title": f"part {n}"}}
        for n, (a, b) in enumerate([(0, 400), (400, 800)], start=1)
    ]
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        copies = {s.index: target.add_stream_from_template(s) for s in source.streams}
        target.set_chapters(chapters)
        text = av.open(str(subtitle)) if subtitle else None
        text_copy = target.add_stream_from_template(text.streams[0]) if text else None
        packets = [p for p in source.demux() if p.size]
        for packet in packets:
            packet.stream = copies[packet.stream_index]
            target.mux(packet)
        if text:
            for packet in text.demux():
                if packet.size:
                    packet.stream = text_copy
                    target.mux(packet)
            text.close()


def subtitled(path: Path) -> None:
    text = path.with_suffix(".srt")
    text.write_text(
        "1\n00:00:00,100 --> 00:00:00,300\nhello\n\n2\n00:00:00,500 --> 00:00:00,700\nthere\n"
    )
    clip = path.with_name("plain.mkv")
    write_clip(clip, frames=FRAMES, bframes=False, audio=("libopus",))
    with_extras(path, clip, subtitle=text)


def with_chapters(path: Path) -> None:
    clip = path.with_name("plain.mp4")
    write_clip(clip, frames=FRAMES, bframes=False, audio=("aac",))
    with_extras(path, clip)


def variable(path: Path) -> None:
    """A telephone's times: never two equal steps."""
    steps = np.random.default_rng(7).integers(900, 5200, FRAMES - 1)
    times = np.concatenate([[0], np.cumsum(steps)])
    write_clip(path, pts=[int(t) for t in times], time_base=Fraction(1, 90000), audio=("aac",))


@dataclass(frozen=True)
class Case:
    """A source and what is special about its copies."""

    suffix: str
    write: Callable[[Path], Any]
    lost_in_mp4: int = 0
    """Streams that only Matroska takes."""
    color: ColorTags = BT709
    bit_depth: int = 8
    preroll: bool = False
    """Its edit list hides more sound before the start than Matroska's clock can hold."""


def clip(**options: Any) -> Callable[[Path], Any]:
    return lambda path: write_clip(path, **({"frames": FRAMES} | options))


def trimmed(**options: Any) -> Callable[[Path], Any]:
    return lambda path: write_edit_list_clip(path, **({"frames": FRAMES + 5} | options))


HEVC10 = {"codec": "libx265", "pix_fmt": "yuv420p10le", "full_range": True, "color": PQ}
FULL_PQ = ColorTags(PQ.primaries, PQ.transfer, PQ.matrix, full_range=True)
FULL_709 = ColorTags(1, 1, 1, full_range=True)

CASES = {
    "ntsc-aac": Case("mp4", clip(audio=("aac",))),
    "59.94-ac3": Case("mp4", clip(rate=Fraction(60000, 1001), audio=("ac3",))),
    "119.88-aac": Case("mp4", clip(rate=Fraction(120000, 1001), audio=("aac",))),
    "variable": Case("mp4", variable),
    "pcm": Case("mov", clip(audio=("pcm_s16le",))),
    "late-video": Case("mp4", clip(audio=("aac",), start_offset=3 / NTSC)),
    "late-video-mkv": Case("mkv", clip(audio=("aac",), start_offset=Fraction(1, 10))),
    "trimmed": Case("mp4", trimmed()),
    "trimmed-long": Case("mp4", trimmed(frames=FRAMES + 60, hidden=60), preroll=True),
    "trimmed-hevc-opus": Case("mp4", trimmed(codec="libx265", audio=("libopus",))),
    "open-gop": Case(
        "mp4",
        clip(codec="libx265", options={"x265-params": "log-level=none:open-gop=1:keyint=8"}),
    ),
    "10-bit-full": Case("mp4", clip(**HEVC10, audio=("libopus",)), color=FULL_PQ, bit_depth=10),
    "yuvj420p": Case("mp4", clip(pix_fmt="yuvj420p", full_range=True), color=FULL_709),
    "matroska-opus": Case("mkv", clip(audio=("libopus",))),
    "two-tracks": Case("mp4", clip(audio=("aac", "ac3"))),
    "two-tracks-mkv": Case("mkv", clip(audio=("pcm_s16le", "libopus"))),
    "silent": Case("mp4", clip()),
    "subtitled": Case("mkv", subtitled, lost_in_mp4=1),
    "chapters": Case("mp4", with_chapters),
}


@dataclass(frozen=True)
class Made:
    """A source and the files made from it."""

    case: Case
    source: Path
    report: RunReport
    times: list[Fraction]
    tick: Fraction
    others: list[Sound]
    files: dict[str, Path] = field(default_factory=dict)


def run(source: Path, out: Path, **settings: Any) -> RunReport:
    tree = {
        "output": {"deliver": DELIVERABLES, "report": "json"},
        "processing": {"chunk_size": 7},
        **settings,
    }
    return matte_video(source, out, brightness_config(tree))


@pytest.fixture(scope="module", params=CASES)
def made(request, tmp_path_factory):
    case = CASES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    source = folder / f"clip_LR_180.{case.suffix}"
    case.write(source)
    report = run(source, folder / "out")
    return Made(
        case,
        source,
        report,
        frame_times(source),
        tick_of(source),
        other_streams(source),
        {file.deliverable: Path(file.path) for file in report.files},
    )


def test_every_frame_keeps_its_time(made):
    for path in made.files.values():
        assert_same_times(made.times, frame_times(path), made.tick, path.suffix == ".mkv")


def assert_same_times(
    wanted: Sequence[Fraction], found: Sequence[Fraction], tick: Fraction, is_mkv: bool
) -> None:
    """Compare times; milliseconds, as Matroska stores them, may be roundings of an exact rate."""
    assert len(found) == len(wanted)
    # Readers make up one: what lies before 0, from durations.
    pairs = [(a, b) for a, b in zip(found, wanted, strict=True) if b >= 0 or not is_mkv]
    if is_mkv:
        assert max(abs(a - b) for a, b in pairs) <= tick / 2
    elif tick == Fraction(1, 1000) and found != wanted:
        assert len({later - earlier for earlier, later in pairwise(found)}) == 1
        assert max(abs(a - b) for a, b in pairs) <= tick / 2
    else:
        assert list(found) == list(wanted)


def test_every_packet_of_sound_is_copied(made):
    for path in made.files.values():
        is_mkv = path.suffix == ".mkv"
        wanted = [s for s in made.others if is_mkv or s.codec != "subrip"]
        found = other_streams(path)
        assert [s.codec for s in found] == [s.codec for s in wanted]
        for ours, theirs in zip(found, wanted, strict=True):
            if made.case.preroll and is_mkv:
                theirs = shown_only(theirs, len(ours.times))
            assert ours.digest == theirs.digest
            if theirs.codec.startswith("pcm_"):  # every container cuts its packets anew
                assert round(ours.times[0] / theirs.tick) == theirs.times[0] / theirs.tick
                continue
            assert ours.payloads == theirs.payloads
            assert_same_times(theirs.times, ours.times, theirs.tick, is_mkv)


def shown_only(sound: Sound, count: int) -> Sound:
    """The last `count` packets; those before are hidden by the edit list, and long over by 0."""
    first = len(sound.times) - count
    assert first > 0
    assert sound.times[first] < Fraction(-3, 10)
    return Sound(sound.codec, sound.times[first:], sound.payloads[first:], sound.tick)


def test_what_is_lost_is_told(made):
    lost = [text for text in made.report.notices if "does not contain source stream" in text]
    mp4s = sum(path.suffix == ".mp4" for path in made.files.values())
    assert len(lost) == made.case.lost_in_mp4 * mp4s
    hidden = [text for text in made.report.notices if "before the start" in text]
    assert len(hidden) == made.case.preroll


def test_colours_range_and_depth_are_kept(made):
    for name in ("greenscreen", "alpha-packed"):
        with av.open(str(made.files[name])) as container:
            context: Any = container.streams.video[0].codec_context
            frame = next(container.decode(video=0))
        found = ColorTags(
            context.color_primaries,
            context.color_trc,
            context.colorspace,
            context.color_range == 2,
        )
        assert found == made.case.color
        assert frame.format.components[0].bits == made.case.bit_depth


def test_chapters_are_kept(made):
    with av.open(str(made.source)) as source:
        wanted = [(c["start"] * c["time_base"], c["metadata"]) for c in source.chapters()]
    for path in made.files.values():
        with av.open(str(path)) as container:
            found = [(c["start"] * c["time_base"], c["metadata"]) for c in container.chapters()]
        assert found == wanted


BARS_YUV = ((200, 90, 160), (180, 128, 128), (170, 60, 140), (160, 150, 70), (215, 110, 120))
BARS_TOLERANCE = 2
"""Of 255: what the encoder's quantiser costs flat colour; any change of range or matrix is more."""


def write_bars(path: Path, pix_fmt: str, codec: str, full_range: bool) -> None:
    """A wall of bright flat bars before black, the same in both eyes, never moving."""
    deep = 2 if "10" in pix_fmt else 0
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=30, options={"crf": "1"})
        video.width, video.height, video.pix_fmt = 256, 128, pix_fmt
        video.codec_context.color_range = 2 if full_range else 1
        video.codec_context.colorspace = video.codec_context.color_primaries = 1
        video.codec_context.color_trc = 1
        if codec == "libx265":
            video.codec_context.options |= {"x265-params": "log-level=none"}
        for index in range(10):
            frame = av.VideoFrame(256, 128, pix_fmt)
            for number, plane in enumerate(frame.planes):
                dark = 16 if number == 0 else 128
                samples = np.full((plane.height, plane.width), dark << deep, np.uint16)
                high, wide = plane.height // 4, plane.width // 16
                for eye in (0, plane.width // 2):
                    for place, bar in enumerate(BARS_YUV):
                        left = eye + wide * (place + 1)
                        samples[high : 3 * high, left : left + wide] = bar[number] << deep
                plane_view(plane, 2 if deep else 1)[:] = samples
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))


@pytest.mark.parametrize(
    ("pix_fmt", "codec", "full_range"),
    [
        ("yuv420p", "libx264", False),
        ("yuvj420p", "libx264", True),
        ("yuv420p10le", "libx265", False),
        ("yuv420p10le", "libx265", True),
    ],
)
def test_colours_survive_where_the_matte_is_opaque(tmp_path, pix_fmt, codec, full_range):
    source = tmp_path / "bars_LR_180.mp4"
    write_bars(source, pix_fmt, codec, full_range)
    report = run(source, tmp_path / "out", output={"deliver": DELIVERABLES, "quality": 12})
    files = {file.deliverable: Path(file.path) for file in report.files}
    mattes = [matte for _, matte in read_grey(files["matte-lossless"])]
    ours, theirs = samples_of(files["greenscreen"]), samples_of(source)
    opaque = cv2.erode((mattes[5] == 255).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert opaque.sum() > 2000
    scale = 4 if "10" in pix_fmt else 1
    for number, (mine, original) in enumerate(zip(ours[5], theirs[5], strict=True)):
        where = opaque if number == 0 else opaque[::2, ::2]
        off = np.abs(mine.astype(int) - original)[where].max() / scale
        assert off <= BARS_TOLERANCE


def samples_of(path: Path) -> list[list[np.ndarray]]:
    with av.open(str(path)) as container:
        return [
            [
                plane_view(plane, 2 if frame.format.components[0].bits > 8 else 1).copy()
                for plane in frame.planes
            ]
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_part_starts_at_zero_and_keeps_its_sound_in_step(tmp_path, suffix):
    source = tmp_path / f"clip_LR_180.{suffix}"
    write_clip(source, frames=40, audio=("aac", "libopus"), bframes=True)
    report = run(source, tmp_path / "out", input={"start": 0.31, "end": 1.02})
    tick = tick_of(source)
    kept = [t for t in frame_times(source) if round(Fraction("0.31") / tick) <= t / tick]
    kept = [t for t in kept if t / tick < round(Fraction("1.02") / tick)]
    assert report.frames == len(kept) < 40
    step = kept[1] - kept[0]
    for file in report.files:
        path = Path(file.path)
        is_mkv = path.suffix == ".mkv"
        wanted = [t - kept[0] for t in kept]
        if suffix == "mkv":  # the exact rate from 0 on, whose frame the milliseconds put elsewhere
            off_by = [abs(a - b) for a, b in zip(frame_times(path), wanted, strict=True)]
            assert off_by[0] == 0
            assert max(off_by) <= tick
        else:
            assert_same_times(wanted, frame_times(path), tick, is_mkv)
        for ours, theirs in zip(other_streams(path), other_streams(source), strict=True):
            span = [i for i, t in enumerate(theirs.times) if kept[0] <= t < kept[-1] + step]
            assert ours.payloads == tuple(theirs.payloads[i] for i in span)
            origin = round(kept[0] / theirs.tick) * theirs.tick
            off = [
                abs(a - (theirs.times[i] - origin)) for a, i in zip(ours.times, span, strict=True)
            ]
            assert max(off) <= theirs.tick / 2


def test_another_picture_in_the_file_is_told(tmp_path):
    source, cover = tmp_path / "clip_LR_180.mp4", tmp_path / "cover.mp4"
    clip = tmp_path / "plain.mp4"
    write_clip(clip, frames=10, bframes=False)
    write_clip(cover, frames=3, size=(64, 64), bframes=False)
    with (
        av.open(str(clip)) as main,
        av.open(str(cover)) as second,
        av.open(str(source), "w") as target,
    ):
        copies = [target.add_stream_from_template(c.streams.video[0]) for c in (main, second)]
        for container, copy in zip((main, second), copies, strict=True):
            for packet in container.demux():
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
    report = run(source, tmp_path / "out")
    told = [text for text in report.notices if "does not contain source stream 1, video" in text]
    assert len(told) == len(DELIVERABLES)
