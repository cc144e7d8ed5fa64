"""Resampling of planes between projections of one eye, with exact positions of chroma samples.

A `SamplingGrid` is computed once per pair of projections and plane; `resample` then costs about one
memory-friendly pass. Where the source shows nothing, the result is the border value. The source's
edge samples are repeated up to that seam, so no border colour bleeds into the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache
from typing import Any, TypeVar

import cv2
import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from vrmatte.frames import ColorTags, DoubleArray, FloatArray, Mask, PixelLayout, Plane
from vrmatte.geometry.projection import Projection

PHASES = 256
"""Number of distinct positions between two samples; a phase fits into a byte."""

REACH = 2
"""Samples that the filter reaches beyond the image; sources are padded by as many."""


def cubic_weights() -> FloatArray:
    """Return Catmull-Rom weights by phase, shape (PHASES, 4), which keep quadratic gradients."""
    f = np.arange(PHASES) / PHASES
    taps = (
        -0.5 * f**3 + f**2 - 0.5 * f,
        1.5 * f**3 - 2.5 * f**2 + 1,
        -1.5 * f**3 + 2 * f**2 + 0.5 * f,
        0.5 * f**3 - 0.5 * f**2,
    )
    return np.stack(taps, axis=1).astype(np.float32)


def linear_weights() -> FloatArray:
    """Return linear weights by phase, shape (PHASES, 4), as players use them for textures."""
    f = np.arange(PHASES) / PHASES
    zero = np.zeros(PHASES)
    return np.stack([zero, 1 - f, f, zero], axis=1).astype(np.float32)


@intrinsic
def _weighted_sum(
    _context: Any, source: Any, first: Any, stride: Any, weights: Any, phase_x: Any, phase_y: Any
) -> Any:
    """Add up 4 x 4 weighted samples from flat index `first`, rows `stride` apart (all uint64)."""
    signature = types.float32(source, types.uint64, types.uint64, weights, phase_x, phase_y)
    return signature, _generate_weighted_sum


def _generate_weighted_sum(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    four_floats = ir.VectorType(ir.FloatType(), 4)
    lane_type = ir.IntType(32)

    def load_four(array: int, index: Any, element: Any, align: int) -> Any:
        data = context.make_array(signature.args[array])(context, builder, args[array]).data
        pointer = builder.gep(data, [index])
        vector_pointer = builder.bitcast(pointer, ir.VectorType(element, 4).as_pointer())
        return builder.load(vector_pointer, align=align)

    def weights_of(phase: Any) -> Any:
        row = builder.mul(phase, ir.Constant(ir.IntType(64), 4))
        return load_four(3, row, ir.FloatType(), 4)

    def repeated(vector: Any, lane: int) -> Any:
        lanes = ir.Constant(ir.VectorType(lane_type, 4), [lane] * 4)
        return builder.shuffle_vector(vector, ir.Constant(four_floats, ir.Undefined), lanes)

    sample = context.get_data_type(signature.args[0].dtype)
    along_x, along_y = weights_of(args[4]), weights_of(args[5])
    index, columns = args[1], ir.Constant(four_floats, [0.0] * 4)
    for row in range(4):
        samples = builder.uitofp(load_four(0, index, sample, sample.width // 8), four_floats)
        weighted = builder.fmul(samples, repeated(along_y, row), flags=("contract",))
        columns = builder.fadd(columns, weighted, flags=("contract",))
        index = builder.add(index, args[2])
    columns = builder.fmul(columns, along_x)
    lanes = [builder.extract_element(columns, ir.Constant(lane_type, lane)) for lane in range(4)]
    left, right = builder.fadd(lanes[0], lanes[1]), builder.fadd(lanes[2], lanes[3])
    return builder.fadd(left, right)


@numba.njit(cache=True, nogil=True)
def gather(
    source: Any,
    stride: int,
    runs: Any,
    first_taps: Any,
    phases_x: Any,
    phases_y: Any,
    weights: Any,
    peak: int,
    border: int,
    out: Any,
) -> None:
    """Fill `out` with `border`, then its runs with weighted sums, rounded and clipped to 0..peak.

    Args:
        source: the padded source plane, flat, uint8 or uint16.
        stride: samples per row of the padded source.
        runs: int32 (n, 3): row of `out`, first column, one past the last column.
        first_taps: uint32 index into `source` of each sample's first tap, in the order of `runs`.
        phases_x: uint8 horizontal phases, in the same order.
        phases_y: uint8 vertical phases, in the same order.
        weights: float32 (PHASES, 4), flat.
        peak: largest value allowed.
        border: value of samples outside all runs.
        out: the target plane.
    """
    out[:, :] = border
    half, zero, top = np.float32(0.5), np.float32(0), np.float32(peak)
    at = np.uint64(0)
    for run in range(runs.shape[0]):
        # Unsigned indices: numba would guard signed ones against being negative.
        row = np.uint64(runs[run, 0])
        for column in range(np.uint64(runs[run, 1]), np.uint64(runs[run, 2])):
            total = _weighted_sum(  # pyright: ignore[reportCallIssue]  # numba adds the context
                source,
                np.uint64(first_taps[at]),
                np.uint64(stride),
                weights,
                np.uint64(phases_x[at]),
                np.uint64(phases_y[at]),
            )
            at += np.uint64(1)
            out[row, column] = np.int32(min(max(total + half, zero), top))


_ROWS_AT_ONCE = 128

_PlaneT = TypeVar("_PlaneT", npt.NDArray[np.uint8], npt.NDArray[np.uint16], Plane)


class Interpolation(Enum):
    """Interpolation between samples."""

    LINEAR = "linear"
    CUBIC = "cubic"


@dataclass(frozen=True, slots=True)
class PlaneSites:
    """Positions of a plane's samples: sample i is centred at `step * i + offset` luma pixels."""

    step_x: int = 1
    step_y: int = 1
    offset_x: float = 0.5
    offset_y: float = 0.5

    def columns(self, first: int, stop: int) -> DoubleArray:
        """Return the positions of columns first..stop-1, in luma pixels."""
        return self.step_x * np.arange(first, stop, dtype=np.float64) + self.offset_x

    def rows(self, first: int, stop: int) -> DoubleArray:
        """Return the positions of rows first..stop-1, in luma pixels."""
        return self.step_y * np.arange(first, stop, dtype=np.float64) + self.offset_y


LUMA_SITES = PlaneSites()


def chroma_sites(layout: PixelLayout, color: ColorTags) -> PlaneSites:
    """Return the positions of chroma samples; unspecified means left, as in MPEG video."""
    step_x, step_y = 1 << layout.chroma_shift_x, 1 << layout.chroma_shift_y
    location = color.chroma_location
    # AVChromaLocation: 2 (centre), 4 (top) and 6 (bottom) are between two columns; 3 (top left) and
    # 4 are on the upper row, 5 (bottom left) and 6 on the lower.
    offset_x = step_x / 2 if location in (2, 4, 6) else 0.5
    if location in (3, 4):
        offset_y = 0.5
    elif location in (5, 6):
        offset_y = step_y - 0.5
    else:
        offset_y = step_y / 2
    return PlaneSites(step_x, step_y, offset_x, offset_y)


@dataclass(frozen=True, slots=True, eq=False)
class SamplingGrid:
    """The source samples of each target sample, as the arrays that `gather` takes."""

    shape: tuple[int, int]
    """Rows and columns of the target plane."""
    source_shape: tuple[int, int]
    """Rows and columns of the source plane."""
    runs: npt.NDArray[np.int32]
    first_taps: npt.NDArray[np.uint32]
    phases_x: npt.NDArray[np.uint8]
    phases_y: npt.NDArray[np.uint8]


@lru_cache(maxsize=8)
def sampling_grid(
    target: Projection,
    source: Projection,
    target_sites: PlaneSites = LUMA_SITES,
    source_sites: PlaneSites = LUMA_SITES,
) -> SamplingGrid:
    """Return the result of `make_sampling_grid`; the last eight are cached."""
    return make_sampling_grid(target, source, target_sites, source_sites)


def make_sampling_grid(
    target: Projection,
    source: Projection,
    target_sites: PlaneSites = LUMA_SITES,
    source_sites: PlaneSites = LUMA_SITES,
) -> SamplingGrid:
    """Compute the grid that resamples a plane of `source` into a plane of `target`.

    Nothing is cached here. Positions are rounded to 1/256 sample. The grid takes about 7 bytes per
    covered target sample.

    Args:
        target: projection of the plane to write.
        source: projection of the plane to read.
        target_sites: positions of the target plane's samples.
        source_sites: positions of the source plane's samples.
    """
    shape, source_shape = _plane_shape(target, target_sites), _plane_shape(source, source_sites)
    stride = source_shape[1] + 2 * REACH
    columns = target_sites.columns(0, shape[1])
    runs: list[npt.NDArray[np.int32]] = []
    taps: list[npt.NDArray[np.uint32]] = []
    phases: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = []
    for top in range(0, shape[0], _ROWS_AT_ONCE):
        rows = target_sites.rows(top, min(top + _ROWS_AT_ONCE, shape[0]))
        x, y = np.meshgrid(columns, rows)
        source_x, source_y = source.pixels(*target.directions(x, y))
        shown = target.covers(x, y) & source.covers(source_x, source_y)
        across, phase_x = _split(
            (source_x[shown] - source_sites.offset_x) / source_sites.step_x, source_shape[1]
        )
        down, phase_y = _split(
            (source_y[shown] - source_sites.offset_y) / source_sites.step_y, source_shape[0]
        )
        runs.append(_runs_of(shown, top))
        taps.append((down * stride + across).astype(np.uint32))
        phases.append((phase_x, phase_y))
    return SamplingGrid(
        shape,
        source_shape,
        np.concatenate(runs),
        np.concatenate(taps),
        np.concatenate([x for x, _ in phases]),
        np.concatenate([y for _, y in phases]),
    )


def resample(
    plane: _PlaneT,
    grid: SamplingGrid,
    interpolation: Interpolation = Interpolation.CUBIC,
    *,
    peak: int = 255,
    border: int = 0,
    out: _PlaneT | None = None,
) -> _PlaneT:
    """Resample one plane into another projection.

    Args:
        plane: uint8 or uint16, of the grid's source shape.
        grid: from `sampling_grid`.
        interpolation: of values between samples.
        peak: largest value of the layout; cubic overshoot is clipped there and at 0.
        border: value where the source shows nothing.
        out: array to write to, of the grid's shape and the type of `plane`; may be a view.

    Returns:
        `out`, or a new plane of the grid's shape.

    Raises:
        ValueError: a shape or type that does not fit the grid.
    """
    target = np.empty_like(plane, shape=grid.shape) if out is None else out
    if plane.shape != grid.source_shape:
        raise ValueError(f"the plane is {plane.shape}; the grid reads {grid.source_shape}")
    if target.shape != grid.shape or target.dtype != plane.dtype:
        raise ValueError(f"out must be {grid.shape} {plane.dtype}, got {target.shape}")
    padded = cv2.copyMakeBorder(plane, REACH, REACH, REACH, REACH, cv2.BORDER_REPLICATE)
    gather(
        padded.reshape(-1),
        padded.shape[1],
        grid.runs,
        grid.first_taps,
        grid.phases_x,
        grid.phases_y,
        _flat_weights(interpolation),
        peak,
        border,
        target,
    )
    return target


@cache
def _flat_weights(interpolation: Interpolation) -> FloatArray:
    cubic = interpolation is Interpolation.CUBIC
    return (cubic_weights() if cubic else linear_weights()).reshape(-1)


def _plane_shape(projection: Projection, sites: PlaneSites) -> tuple[int, int]:
    return -(-projection.height // sites.step_y), -(-projection.width // sites.step_x)


def _split(
    position: DoubleArray, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return the first tap (in the padded source) and the phase of positions in source samples."""
    steps = np.rint(position * PHASES).astype(np.int64)
    # A projection may claim to cover a little more than it has; taps must stay in the padding.
    steps = np.clip(steps, -PHASES, count * PHASES - 1)
    return steps // PHASES - 1 + REACH, (steps % PHASES).astype(np.uint8)


def _runs_of(shown: Mask, top: int) -> npt.NDArray[np.int32]:
    """Return row, first and end column of each run of true values, in reading order."""
    edges = np.diff(np.pad(shown, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    return np.stack([rows + top, starts, stops], axis=1).astype(np.int32)
