"""Rotation of a camera's right lens relative to its left, from matches.

Parallel eyes see a point at the same angle about the baseline, the row of a Cassini picture, at any
distance. Rotating back what the right lens saw by small angles moves that row by

-pitch + tan(column) * (roll * cos(row) + yaw * sin(row))

so rows alone determine all three rotations, without depth. Along a row, toe-in cannot be separated
from depth and is not measured there. It shows where both sine and tangent are large, in the
picture's corners: rows fan out on one side and close in on the other. If nothing is matched in the
corners, toe-in is taken to be zero.

The whole rotation is assigned to the right eye, so the left stays as recorded. Splitting it between
both would be as good a guess, and would move rows of near objects by little: a tenth of a pixel at
1536 for half a degree, a metre away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from vrmatte.frames import EYES, DoubleArray, Grey, PlanarFrame
from vrmatte.geometry.projection import Cassini, EyeProjection
from vrmatte.geometry.remap import resample, sampling_grid
from vrmatte.geometry.viewport import rotation_of
from vrmatte.stereo.eye_matches import EyeMatches, epipolar_angles, match_eyes
from vrmatte.subjects import LensAlignment

REFERENCE_PX = 1536
"""Eye height in whose pixels row errors are stated."""
MOST_ROW_ERROR_PX = 1.0
"""The largest row error that stereo matching tolerates."""
LEAST_MATCHES = 40
"""Per frame. With fewer, nothing is stated about the lenses: a still camera sees the same few
points in every frame, so more frames add nothing."""
_CLEARLY_BETTER = 0.6
"""A correction must reduce the row error below this share of it."""
_LOOK_PX = 768
"""Size of the Cassini pictures that are compared."""
_LARGEST_LOOK = 1.5
"""An eye larger than this many times is reduced first, to avoid aliasing."""
_ROUNDS = 12
_SMALLEST_RESIDUAL = 1e-5
"""In radians: smaller residuals count as zero."""
_TYPICAL_TURN_DEG = 0.5
_TYPICAL_NOISE_DEG = 0.03
"""Of one match. Priors of this size hold rotations that the matches do not determine at zero."""


def matches_in(frame: PlanarFrame, projection: EyeProjection) -> EyeMatches:
    """Find points that both eyes of a side-by-side frame see.

    Args:
        frame: two square eyes.
        projection: of each eye, at any size.
    """
    left, right = (_looked_at(frame.eye(eye), projection) for eye in EYES)
    return match_eyes(left, right, Cassini(_LOOK_PX))


def align(matches: Iterable[EyeMatches]) -> LensAlignment | None:
    """Compute the lens rotation from matches of any number of frames.

    Args:
        matches: matches of one camera's frames; a third of them may be wrong.

    Returns:
        None if no frame has `LEAST_MATCHES`.
    """
    frames = list(matches)
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
    """Fit yaw, pitch and roll in degrees that align the rows: least absolute residuals."""
    held = (_TYPICAL_NOISE_DEG / _TYPICAL_TURN_DEG) ** 2 * np.eye(3)
    angles = np.zeros(3)
    for _ in range(_ROUNDS):
        seen = right @ np.reshape(rotation_of(*np.degrees(angles)), (3, 3)).T
        residual, slopes = _row_residuals(left, seen)
        near = np.maximum(np.abs(residual), _SMALLEST_RESIDUAL)
        weight = np.median(near) / near  # distant residuals count no more than near ones
        normal = (slopes * weight[:, None]).T @ slopes + held
        pull = (slopes * weight[:, None]).T @ residual + held @ angles
        angles -= np.linalg.solve(normal, pull)
    yaw, pitch, roll = np.degrees(angles).tolist()
    return yaw, pitch, roll


def _row_residuals(left: DoubleArray, right: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return row differences in radians on the sphere, and their derivatives by yaw, pitch, roll.

    Rows converge towards the baseline, where a match is as precise on the sphere, so residuals are
    measured on the sphere.
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
    """Return one eye, small and grey, with the baseline as its pole."""
    size = min(eye.height, round(_LARGEST_LOOK * _LOOK_PX))
    small = np.asarray(
        cv2.resize(eye.y, (size, size), interpolation=cv2.INTER_AREA), eye.layout.dtype
    )
    eight_bits = (small >> (eye.layout.bit_depth - 8)).astype(np.uint8)
    return resample(eight_bits, sampling_grid(Cassini(_LOOK_PX), projection.resized(size)))
