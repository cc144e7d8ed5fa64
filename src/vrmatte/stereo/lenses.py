"""How a camera's two lenses stand to each other, from what both see.

Parallel eyes see a point at the same angle about the baseline, the row of a Cassini picture,
however far it is. To turn what the right lens saw back by small angles moves that row by

    -pitch + tan(column) * (roll * cos(row) + yaw * sin(row))

so rows alone tell all three turns, and no depth is needed. Along a row toe-in can't be told from
depth and isn't looked for there. It shows where both sine and tangent are large, in the picture's
corners: rows fan out on one side and close in on the other. Where nothing is matched in the corners
it is taken for zero.

The whole turn is given to the right eye, so the left stays as it was recorded. Halving it between
both would be as good a guess, and would move rows of what is near by little: a tenth of a pixel
at 1536 for half a degree, a metre away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from vrmatte.frames import EYES, DoubleArray, Grey, PlanarFrame
from vrmatte.geometry.projection import Cassini, EyeProjection, Projection
from vrmatte.geometry.remap import resample, sampling_grid
from vrmatte.geometry.viewport import rotation_of
from vrmatte.stereo.eye_matches import EyeMatches, epipolar_angles, match_eyes
from vrmatte.subjects import LensAlignment

REFERENCE_PX = 1536
"""Height of the eye whose pixels row errors are told in."""
MOST_ROW_ERROR_PX = 1.0
"""What stereo matching bears."""
LEAST_MATCHES = 40
"""In one frame. With fewer nothing is said of the lenses: a still camera sees the same few points
again in every frame, so more frames add nothing."""
_CLEARLY_BETTER = 0.6
"""A correction must bring the row error below so much of what it was."""
_LOOK_PX = 768
"""Size of the Cassini pictures that are compared."""
_LARGEST_LOOK = 1.5
"""An eye more times larger than that is shrunk first, so that nothing flickers through."""
_ROUNDS = 12
_SMALLEST_RESIDUAL = 1e-5
"""In radians: what counts as no residual at all."""
_TYPICAL_TURN_DEG = 0.5
_TYPICAL_NOISE_DEG = 0.03
"""Of one match. Together they hold turns that the matches don't tell at zero."""


def compare_lenses(
    pictures: Iterable[tuple[Grey, Grey]], projection: Projection
) -> LensAlignment | None:
    """How the lenses stand, from pictures of both eyes, left first; see `align`."""
    return align([match_eyes(left, right, projection) for left, right in pictures])


def matches_in(frame: PlanarFrame, projection: EyeProjection) -> EyeMatches:
    """Points that both eyes of a side-by-side frame see.

    Args:
        frame: two square eyes.
        projection: what each eye shows, at whatever size.
    """
    left, right = (_looked_at(frame.eye(eye), projection) for eye in EYES)
    return match_eyes(left, right, Cassini(_LOOK_PX))


def align(found: Iterable[EyeMatches]) -> LensAlignment | None:
    """How the lenses stand, from matches of any number of frames.

    Args:
        found: matches of one camera's frames; a third of them may be wrong.

    Returns:
        None where no frame has `LEAST_MATCHES`: nothing can be said.
    """
    frames = list(found)
    if max(map(len, frames), default=0) < LEAST_MATCHES:
        return None
    left = np.concatenate([matches.left for matches in frames])
    right = np.concatenate([matches.right for matches in frames])
    yaw, pitch, roll = _fit(left, right)
    before = _row_error_px(left, right)
    turned = right @ np.reshape(rotation_of(yaw, pitch, roll), (3, 3)).T
    after = _row_error_px(left, turned)
    needed = before > MOST_ROW_ERROR_PX and after < _CLEARLY_BETTER * before
    return LensAlignment(
        roll_deg=roll,
        pitch_deg=pitch,
        toe_in_deg=-yaw,
        needs_correction=needed,
        rows_agree=(after if needed else before) <= MOST_ROW_ERROR_PX,
        row_error_px=before,
        corrected_row_error_px=after,
        matches=len(left),
    )


def _fit(left: DoubleArray, right: DoubleArray) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees that bring the rows together: least absolute residuals."""
    held = (_TYPICAL_NOISE_DEG / _TYPICAL_TURN_DEG) ** 2 * np.eye(3)
    angles = np.zeros(3)
    for _ in range(_ROUNDS):
        seen = right @ np.reshape(rotation_of(*np.degrees(angles)), (3, 3)).T
        residual, slopes = _row_residuals(left, seen)
        near = np.maximum(np.abs(residual), _SMALLEST_RESIDUAL)
        weight = np.median(near) / near  # what lies far off counts no more than what lies near
        normal = (slopes * weight[:, None]).T @ slopes + held
        pull = (slopes * weight[:, None]).T @ residual + held @ angles
        angles -= np.linalg.solve(normal, pull)
    yaw, pitch, roll = np.degrees(angles).tolist()
    return yaw, pitch, roll


def _row_residuals(left: DoubleArray, right: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """How far apart rows are, in radians on the sphere, and how yaw, pitch and roll change that.

    Rows lie closer together towards the baseline, and a match is as exact there on the sphere, so
    residuals are measured on the sphere.
    """
    row, column = epipolar_angles(right)
    shrink = np.cos(column)
    residual = _wrapped(row - epipolar_angles(left)[0]) * shrink
    sideways = np.sin(column)
    slopes = np.stack([sideways * np.sin(row), -shrink, sideways * np.cos(row)], axis=1)
    return residual, slopes


def _row_error_px(left: DoubleArray, right: DoubleArray) -> float:
    apart = _wrapped(epipolar_angles(left)[0] - epipolar_angles(right)[0])
    return float(np.median(np.abs(apart))) * REFERENCE_PX / math.pi


def _wrapped(angle: DoubleArray) -> DoubleArray:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _looked_at(eye: PlanarFrame, projection: EyeProjection) -> Grey:
    """One eye, small, grey, with the baseline as its pole."""
    size = min(eye.height, round(_LARGEST_LOOK * _LOOK_PX))
    small = np.asarray(
        cv2.resize(eye.y, (size, size), interpolation=cv2.INTER_AREA), eye.layout.dtype
    )
    eight_bits = (small >> (eye.layout.bit_depth - 8)).astype(np.uint8)
    return resample(eight_bits, sampling_grid(Cassini(_LOOK_PX), projection.resized(size)))
