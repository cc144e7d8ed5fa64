from __future__ import annotations

import numpy as np
import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.media.media_fixtures import write_clip
from vrmatte.commands.run import matte_video
from vrmatte.compose.alpha_packed import unpack_alpha
from vrmatte.errors import VerificationError
from vrmatte.jobs import alpha_check
from vrmatte.jobs.alpha_check import WORST_COARSE_ERROR, coarse_error

CONFIG = brightness_config(
    MATTES_ALONE,  # the clip is no stereo pair
    {"output": {"deliver": ["alpha-packed"]}, "processing": {"chunk_size": 4}},
)


def block(left: int) -> np.ndarray:
    matte = np.zeros((512, 1024), np.uint8)
    matte[150:350, left : left + 120] = 255
    return matte


def test_what_is_equal_has_no_error():
    assert coarse_error(block(100), block(100)) == 0


@pytest.mark.parametrize("left", [612, 300])
def test_a_swapped_eye_and_a_shifted_disc_are_far_off(left):
    assert coarse_error(block(left), block(100)) > 2 * WORST_COARSE_ERROR


def test_detail_finer_than_packing_keeps_does_not_count():
    lattice = np.tile(np.uint8([[0, 255], [255, 0]]), (256, 512))
    assert coarse_error(np.full_like(lattice, 127), lattice) <= 1  # the cell's rounding


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=10)
    return path


def test_samples_of_every_chunk_are_compared(tmp_path, clip):
    (file,) = matte_video(clip, tmp_path / "out", CONFIG).files
    packed = file.checks["packed_alpha"]
    assert packed["sampled_frames"] == 3
    assert 0 < packed["mean"] <= packed["worst_mean"]
    assert packed["edge_mean"] > packed["mean"]


def test_a_file_with_swapped_eyes_is_not_delivered(tmp_path, clip, monkeypatch):
    def swapped(*args, **more):
        return np.roll(unpack_alpha(*args, **more), 100, axis=1)

    monkeypatch.setattr(alpha_check, "unpack_alpha", swapped)
    with pytest.raises(VerificationError, match="its alpha differs"):
        matte_video(clip, tmp_path / "out", CONFIG)
    assert not list((tmp_path / "out").glob("*.mp4"))
    assert len(list((tmp_path / "out").glob("*.mp4.part"))) == 1
