"""`run --sample`: pieces are made beside the run, and their sizes are those of the whole."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from support.media.deliverable_runs import STEM, contents, run, settings_of, write_source
from vrmatte.commands.sample import (
    SampleReport,
    sample_spans,
    sample_video,
    scout_samples,
    space_notices,
)
from vrmatte.demo.clip import write_clip
from vrmatte.matting.engines.brightness import BRIGHTNESS
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint, scan_timeline
from vrmatte.people.read_document import read_people
from vrmatte.plan import make_plan
from vrmatte.progress import Notice, ignore
from vrmatte.subjects import WHOLE_EYES

FRAMES = 60
FILES = ("matte-lossless", "alpha-packed")
SETTINGS = {"output__deliver": FILES}


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("clip"), frames=FRAMES)


def sampled(clip: Path, out: Path, seconds: float, observer=ignore) -> SampleReport:
    return sample_video(clip, out, seconds, settings_of(**SETTINGS), observer)


@pytest.fixture(scope="module")
def whole(clip, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run(clip, out, **SETTINGS)
    return out


def test_spans_are_evenly_spread_and_of_one_length():
    spans = sample_spans(100, 1100, Fraction(25), 10)
    assert spans == [(175, 225), (375, 425), (575, 625), (775, 825), (975, 1025)]


def test_short_samples_are_few_and_long_ones_the_whole():
    assert len(sample_spans(0, 1000, Fraction(25), 1.2)) == 2
    assert len(sample_spans(0, 1000, Fraction(25), 0.1)) == 1
    assert sample_spans(7, 50, Fraction(25), 2) == [(7, 50)]
    assert all(0 <= a < b <= 9 for a, b in sample_spans(0, 9, Fraction(2), 4))


def test_all_of_a_video_sampled_is_told_exactly(clip, whole, tmp_path):
    report = sampled(clip, tmp_path, 1000)
    assert report.whole.frames == FRAMES
    assert report.whole.file_bytes == {
        "matte-lossless": next(whole.glob("*_matte.mkv")).stat().st_size,
        "alpha-packed": next(whole.glob("*alpha.mp4")).stat().st_size,
    }
    chunks = [p for p in (whole / ".vrmatte" / STEM / "chunks").rglob("*") if p.is_file()]
    assert report.whole.store_bytes == sum(path.stat().st_size for path in chunks)


def test_from_parts_frames_and_disk_of_the_whole_are_foreseen(clip, whole, tmp_path):
    """Within a third: at this size each file's own head weighs as much as some frames."""
    report = sampled(clip, tmp_path, 1.0)
    assert [sample.cost.frames for sample in report.samples] == [15, 15]
    assert report.whole.frames == FRAMES
    actual = sum(path.stat().st_size for path in whole.glob("*.m*"))
    assert sum(report.whole.file_bytes.values()) == pytest.approx(actual, rel=1 / 3)


def test_the_run_finds_its_directory_as_it_was(clip, whole, tmp_path):
    report = sampled(clip, tmp_path, 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]
    told = json.loads((tmp_path / "sample" / "sample.json").read_text())
    assert told["estimate"]["frames"] == FRAMES
    assert (
        [row["frames"] for row in told["samples"]]
        == [[22, 37]]
        == [[sample.first, sample.last] for sample in report.samples]
    )
    run(clip, tmp_path, **SETTINGS)
    made = {name: data for name, data in contents(tmp_path).items() if "sample" not in name}
    assert made == contents(whole)


def test_sampled_again_it_is_made_again_and_nothing_piles_up(clip, tmp_path):
    sampled(clip, tmp_path, 0.5)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    second = sampled(clip, tmp_path, 0.5)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before
    assert second.samples[0].cost.frame_seconds > 0


def test_notices_of_several_samples_are_reported_once(clip, tmp_path):
    notices: list[str] = []
    config = settings_of(**{**SETTINGS, "output__deliver": ["prores4444"], "output__quality": 3})
    sample_video(
        clip,
        tmp_path,
        1.0,
        config,
        lambda event: notices.append(event.text) if isinstance(event, Notice) else None,
    )
    assert sum("output.quality is ignored" in text for text in notices) == 1


def test_a_full_disk_is_foreseen():
    (notice,) = space_notices(Path("clip.mp4"), 200 << 20, 100 << 20)
    assert "needs about 200 MB on disk, and 100 MB are free" in notice
    assert not list(space_notices(Path("clip.mp4"), 100 << 20, 100 << 20))


@pytest.mark.slow
def test_people_are_found_in_samples_alone(models_dir, tmp_path):
    clip = tmp_path / "demo_180_LR.mp4"
    write_clip(clip, eye_px=320, frames=48, audio=False)
    source = probe(clip)
    config = settings_of(detection__confidence_threshold=0.3, processing__projection="viewport")
    plan = make_plan(
        source, fingerprint(clip), scan_timeline(source, ignore), WHOLE_EYES, BRIGHTNESS, config
    )
    spans = [(8, 20), (28, 40)]
    path, seconds = scout_samples(plan, spans, tmp_path, tmp_path / "s", config, ignore)
    assert path is not None
    people, _ = read_people(path)
    assert seconds > 0
    assert people.people
    inside = [any(a <= p.first and p.last <= b for a, b in spans) for p in people.people]
    assert all(inside)
    assert people.source.frames == 48
    again, seconds = scout_samples(plan, spans, tmp_path / "s", tmp_path, config, ignore)
    assert (again, seconds) == (path, 0.0)
