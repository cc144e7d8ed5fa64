from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from support.media.media_fixtures import NTSC, write_clip
from vrmatte.errors import OutputError
from vrmatte.frames import Timeline
from vrmatte.media.join import JoinRequest, join_chunks
from vrmatte.progress import Advanced, Finished, Started, ignore

TICK = Fraction(1, 30000)


def chunks(folder: Path, *frames: int, **clip) -> list[Path]:
    paths = [folder / f"chunk{index}.mp4" for index in range(len(frames))]
    for path, count in zip(paths, frames, strict=True):
        write_clip(path, frames=count, **clip)
    return paths


def timeline(*steps: int, start: int = 0) -> Timeline:
    times = np.cumsum([start, *steps])
    return Timeline(times[:-1], TICK, int(times[-1]))


def join(folder, parts, line, container="mp4", observer=ignore, **more):
    target = folder / f"joined.{'mkv' if container == 'matroska' else container}"
    request = JoinRequest(
        parts,
        line,
        target,
        container,
        NTSC,
        more.pop("source", None),
        more.pop("carry", ()),
        **more,
    )
    carried = join_chunks(request, observer)
    return target, carried


def packets_of(path):
    with av.open(str(path)) as container:
        return [(p.pts, p.dts, p.duration) for p in container.demux(video=0) if p.size]


UNEVEN = [1001, 700, 3000, 1, 999, 4000, 1001, 1001, 1001, 1001, 1200, 800]


@pytest.mark.parametrize("start", [0, 90, 100_000])
@pytest.mark.parametrize("bframes", [False, True])
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_every_frame_gets_its_planned_time(tmp_path, start, bframes, container):
    line = timeline(*UNEVEN, start=start)
    path, _ = join(tmp_path, chunks(tmp_path, 5, 1, 6, bframes=bframes), line, container)
    with av.open(str(path)) as container:
        shown = [frame.pts for frame in container.decode(video=0)]
    assert shown == line.pts.tolist()
    found = packets_of(path)
    decode = [dts for _, dts, _ in found]
    assert all(a < b for a, b in itertools.pairwise(decode))
    assert all(dts <= pts for pts, dts, _ in found)


def test_durations_reach_to_the_next_frame_and_to_the_end(tmp_path):
    line = timeline(*UNEVEN)
    path, _ = join(tmp_path, chunks(tmp_path, 5, 7, bframes=False), line)
    shown = sorted((pts, duration) for pts, _, duration in packets_of(path))
    assert [duration for _, duration in shown] == UNEVEN


def test_a_single_frame(tmp_path):
    path, _ = join(tmp_path, chunks(tmp_path, 1), timeline(1001))
    assert packets_of(path) == [(0, 0, 1001)]


@pytest.mark.parametrize("frames", [(5, 5), (5, 8)])
def test_other_numbers_of_frames_are_refused(tmp_path, frames):
    with pytest.raises(OutputError, match="instead of 12; run the same command again"):
        join(tmp_path, chunks(tmp_path, *frames), timeline(*UNEVEN))


def test_a_target_that_cant_be_written_is_named(tmp_path):
    parts = chunks(tmp_path, 12)
    with pytest.raises(OutputError, match="can't write"):
        join(tmp_path / "gone", parts, timeline(*UNEVEN))


def test_a_part_starts_at_zero(tmp_path):
    line = timeline(*UNEVEN)
    window = (Fraction(2), 2 + line.end_pts * TICK)
    path, _ = join(tmp_path, chunks(tmp_path, 12), line, window=window)
    assert min(pts for pts, _, _ in packets_of(path)) == 0


def test_names_and_dates_are_carried_technical_tags_are_not(tmp_path):
    source = tmp_path / "source.mkv"
    with av.open(str(source), "w") as container:
        container.metadata.update({"title": "A walk", "ENCODER_NOTES": "secret"})
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 32, "yuv420p")))
        container.mux(stream.encode(None))
    path, _ = join(tmp_path, chunks(tmp_path, 12), timeline(*UNEVEN), source=source)
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "A walk"
        assert "secret" not in container.metadata.values()


def test_progress_counts_frames(tmp_path):
    events = []
    join(tmp_path, chunks(tmp_path, 5, 7), timeline(*UNEVEN), observer=events.append)
    assert events[0] == Started("join", 12, "joined.mp4")
    assert [e.done for e in events if isinstance(e, Advanced)] == list(range(1, 13))
    assert events[-1] == Finished("join")


@pytest.mark.parametrize("start", [0, 90, 100_000])
def test_a_webm_has_a_clock_for_every_time(tmp_path, start):
    line = timeline(*UNEVEN, start=start)
    parts = chunks(tmp_path, 5, 1, 6, bframes=False, codec="libvpx-vp9")
    path, _ = join(tmp_path, parts, line, "webm")
    assert b"webm" in path.read_bytes()[:64]
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base
        shown = [frame.pts * tick for frame in container.decode(video=0)]
        assert "alpha_mode" not in {key.lower() for key in container.streams.video[0].metadata}
    assert [round(time / TICK) for time in shown] == line.pts.tolist()
