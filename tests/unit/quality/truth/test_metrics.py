from __future__ import annotations

import numpy as np
import pytest

from vrmatte.errors import InputError
from vrmatte.quality.metrics import measure_error


def disc(soft: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:64, :64] - 31.5
    distance = 20 - np.hypot(x, y)
    alpha = distance > 0 if not soft else distance / soft + 0.5
    return np.clip(np.asarray(alpha, float) * 255, 0, 255).astype(np.uint8)


def test_the_truth_itself_is_free_of_error():
    error = measure_error([disc(4)] * 3, [disc(4)] * 3)
    assert (error.frames, error.mad, error.band_mad, error.iou) == (3, 0, 0, 1)


def test_nothing_found_is_all_wrong():
    error = measure_error([disc() * 0], [disc()])
    assert error.iou == 0
    assert error.mad == pytest.approx(1000 * (disc() > 0).mean())


def test_an_error_at_the_edge_shows_in_the_band():
    inside = np.where(disc(4) > 250, 255, 0).astype(np.uint8)
    error = measure_error([inside], [disc(4)])
    assert error.band_mad > 2 * error.mad > 0


def test_settling_frames_are_left_out():
    error = measure_error([disc() * 0, disc()], [disc()] * 2, skip=1)
    assert (error.frames, error.iou) == (1, 1)


def test_frames_without_people_have_no_overlap_to_measure():
    assert measure_error([disc() * 0], [disc() * 0]).iou == 1


@pytest.mark.parametrize(("mattes", "truths"), [(2, 1), (1, 2), (0, 0)])
def test_what_cant_be_compared_is_refused(mattes, truths):
    with pytest.raises(InputError):
        measure_error([disc()] * mattes, [disc()] * truths)
