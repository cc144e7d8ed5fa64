"""`vrmatte score` beside the ground-truth clips' own scorer: they agree where both tell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vrmatte.commands.score import score_files
from vrmatte.media.decode import read_grey

FRAMES, SKIP = 8, 3
SHARED = ("mad", "mse", "band_mad", "fg_mad", "bg_mad", "grad", "dtssd", "iou")


@pytest.fixture
def scorer(bench_dir: Path) -> Path:
    script = bench_dir.parent / "score.py"
    if not script.is_file():
        pytest.skip("needs the ground-truth clips' own score.py beside their folder")
    return script


def write(path: Path, mattes: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = mattes[0].shape
        stream.pix_fmt = "gray"
        for matte in mattes:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(matte, format="gray")))
        container.mux(stream.encode(None))
    return path


def damaged(truth: np.ndarray, at: int) -> np.ndarray:
    """Edges moved, flickering, soft; a hole, and something that isn't there."""
    grown = cv2.dilate(truth, np.ones((3 + 2 * (at % 2),) * 2, np.uint8))
    matte = cv2.GaussianBlur(np.roll(grown, 2, axis=1), (0, 0), 1.5)
    rows, columns = np.nonzero(truth > 200)
    cv2.circle(matte, (int(columns[0]), int(rows[0] + 40)), 9, 0, -1)
    cv2.circle(matte, (100 + 3 * at, 80), 12, 180, -1)
    return matte


# The seam between the eyes is an edge to one and none to the other; people stand there in d4.
@pytest.mark.slow
@pytest.mark.parametrize("clip", ["d2_close", "d4_sides"])
def test_the_same_pair_gets_the_same_numbers(clip, scorer, bench_dir, tmp_path):
    stored = read_grey(bench_dir / f"{clip}.alpha.mkv")
    truths = [truth for _, (_, truth) in zip(range(FRAMES), stored, strict=False)]
    truth = write(tmp_path / "truth.mkv", truths)
    matte = write(tmp_path / "matte.mkv", [damaged(t, i) for i, t in enumerate(truths)])
    command = [sys.executable, str(scorer), str(matte), str(truth), "--warmup", str(SKIP)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    ours = score_files(matte, truth, skip=SKIP, every=0)
    assert (ours.frames, ours.scored) == (theirs["frames"], theirs["scored"])
    found = {name: getattr(ours.scores["whole"], name) for name in SHARED}
    assert found == pytest.approx({name: theirs[name] for name in SHARED}, rel=0.01)
