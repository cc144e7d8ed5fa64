"""Two runs side by side: differences worked out by hand, reports of real runs, a picture."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from support.media.deliverable_runs import run, write_source
from vrmatte.commands.compare import compare_runs
from vrmatte.errors import InputError
from vrmatte.progress import Started

W, H, FRAMES = 64, 32, 40


def matte(at: int, wider: int = 0) -> np.ndarray:
    alpha = np.zeros((H, W), np.uint8)
    for start in (0, W // 2):
        alpha[8:24, start + 8 : start + 20 + wider] = 255
    return alpha


def write(path: Path, mattes) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = W, H, "gray"
        for each in mattes:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(each, format="gray")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """Alike but for frames 10 and 11, 2 columns per eye, and 30, 4 columns."""
    wider = {10: 2, 11: 2, 30: 4}
    a = write(tmp_path / "a.mkv", [matte(i) for i in range(FRAMES)])
    b = write(tmp_path / "b.mkv", [matte(i, wider.get(i, 0)) for i in range(FRAMES)])
    return a, b


def test_differences_are_those_of_the_pixels(pair):
    found = compare_runs(*pair)
    column = 2 * 16 / (W * H)
    assert found.between.frames == FRAMES
    assert found.between.scores["whole"].mad == pytest.approx(1e3 * 8 * column / FRAMES, rel=1e-3)
    assert found.figures[0].area == pytest.approx(12 * column)
    assert found.figures[0].motion == 0
    # Wider and back again, by 2 columns and by 4.
    assert found.figures[1].motion == pytest.approx(1e3 * 12 * column / (FRAMES - 1), rel=1e-3)


def test_the_frames_that_differ_most_are_named_and_neighbours_only_once(pair):
    frames = [each.frame for each in compare_runs(*pair).most_different]
    assert frames[0] == 30
    assert frames[1] in (10, 11)
    assert not {10, 11} <= set(frames)


def test_files_alone_tell_nothing_of_settings(pair):
    found = compare_runs(*pair)
    assert (found.settings, found.facts) == ({}, {})


def test_other_lengths_are_refused(pair, tmp_path):
    short = write(tmp_path / "short.mkv", [matte(i) for i in range(5)])
    for sides in ((pair[0], short), (short, pair[0])):
        with pytest.raises(InputError, match=r"short\.mkv: ends after 5 frames"):
            compare_runs(*sides)


def test_the_picture_shows_where_each_has_more(pair, tmp_path):
    picture = tmp_path / "d.png"
    compare_runs(*pair, picture)
    drawn = cv2.imread(str(picture))[..., ::-1].astype(int)
    red, blue = drawn[..., 0], drawn[..., 2]
    assert ((blue - red) > 100).sum() > 500  # B is wider
    assert ((red - blue) > 100).sum() == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    clip = write_source(folder)
    outs = folder / "a", folder / "b"
    run(clip, outs[0], output__deliver=("matte-lossless",))
    again = {"processing__scale_factor": 0.25, "output__quality": 30}
    run(clip, outs[1], output__deliver=("matte-lossless", "greenscreen"), **again)
    return outs


def test_runs_tell_what_was_set_and_what_it_took(runs):
    told: list[object] = []
    found = compare_runs(*runs, observer=told.append)
    assert found.settings["processing.scale_factor"] == ("auto", 0.25)
    assert found.settings["output.quality"] == (None, 30)
    assert "output.path" not in found.settings
    assert "output.encoder" not in found.settings
    assert found.facts["frames"] == (10, 10)
    greenscreen = next(iter(runs[1].glob("*greenscreen.mp4"))).stat().st_size
    assert found.facts["greenscreen bytes"] == (None, greenscreen)
    assert found.between.scores["whole"].mad > 0
    assert told[0] == Started("score", 10)


def test_a_run_is_like_its_own_file(runs):
    matte_file = next(iter(runs[0].glob("*matte.mkv")))
    assert compare_runs(runs[0], matte_file).between.scores["whole"].mad == 0


def test_an_unfinished_run_is_refused(runs, tmp_path):
    clip = write_source(tmp_path)
    out = tmp_path / "out"
    run(clip, out, output__deliver=("matte-lossless",))
    report = next(iter(out.glob("*_report.json")))
    facts = json.loads(report.read_text())
    report.write_text(json.dumps({**facts, "chunks": facts["chunks"] + 1}))
    with pytest.raises(InputError, match="chunks have mattes"):
        compare_runs(runs[0], out)
    report.write_text("[]")
    with pytest.raises(InputError, match="is not the report"):
        compare_runs(runs[0], out)


def test_a_directory_of_several_videos_is_refused(tmp_path, runs):
    out = tmp_path / "out"
    for stem in ("one_180_LR", "two_180_LR"):
        run(write_source(tmp_path, stem), out, output__deliver=("matte-lossless",))
    with pytest.raises(InputError, match="2 videos"):
        compare_runs(out, runs[0])
