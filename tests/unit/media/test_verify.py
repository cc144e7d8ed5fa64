from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from support.media.media_fixtures import write_clip, write_cut_copy, write_faststart_clip
from vrmatte.errors import VerificationError
from vrmatte.frames import Timeline
from vrmatte.media.verify import verify_frames
from vrmatte.progress import Advanced, ignore

SIZE = (256, 128)


@pytest.fixture
def clip(tmp_path):
    return tmp_path / "clip.mp4"


def promised(pts: list[int], end: int | None = None) -> Timeline:
    return Timeline(np.array(pts), Fraction(1, 30000), end or pts[-1] + 1001)


def test_what_was_promised_passes(clip):
    line = promised(write_clip(clip, frames=20))
    events, seen = [], []
    found = verify_frames(clip, line, SIZE, events.append, lambda i, f: seen.append((i, f.pts)))
    assert found == 20
    assert seen == list(enumerate(line.pts.tolist()))
    assert max(e.done for e in events if isinstance(e, Advanced)) == 20


def test_another_size(clip):
    line = promised(write_clip(clip))
    with pytest.raises(VerificationError, match="is 256x128 instead of 512x256"):
        verify_frames(clip, line, (512, 256), ignore)


def test_a_frame_too_few(clip):
    pts = write_clip(clip, frames=20)
    with pytest.raises(VerificationError, match="contains 20 frames instead of 21"):
        verify_frames(clip, promised([*pts, pts[-1] + 1001]), SIZE, ignore)


def test_a_frame_too_many(clip):
    pts = write_clip(clip, frames=20)
    with pytest.raises(VerificationError, match="more than 19 frames"):
        verify_frames(clip, promised(pts[:-1]), SIZE, ignore)


def test_a_time_off_by_one_tick(clip):
    line = promised(write_clip(clip, frames=20))
    shifted = line.pts.copy()
    shifted[13] += 1
    with pytest.raises(VerificationError, match="frame 13 is shown at"):
        verify_frames(clip, replace(line, pts=shifted), SIZE, ignore)


def test_a_cut_file(tmp_path, clip):
    whole = tmp_path / "whole.mp4"
    line = promised(write_faststart_clip(whole, frames=60))
    write_cut_copy(whole, clip, 0.7)
    with pytest.raises(VerificationError, match=r"can't be decoded|contains"):
        verify_frames(clip, line, SIZE, ignore)
