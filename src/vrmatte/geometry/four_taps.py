"""The inner loop of resampling: a weighted sum of 4 x 4 neighbouring samples per output sample.

Written as vector instructions, since neither the compiler's loop vectoriser nor OpenCV finds them:
one row of four samples is one load. About twice as fast as `cv2.remap`, which can't leave out the
part of a picture that shows nothing either.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

PHASES = 256
"""Positions between two samples that are told apart; a phase fits a byte."""
REACH = 2
"""How many samples the sum reaches beyond the picture; sources are padded by as many."""


def cubic_weights() -> npt.NDArray[np.float32]:
    """Catmull-Rom weights per phase, shape (PHASES, 4); quadratic gradients pass unchanged."""
    f = np.arange(PHASES) / PHASES
    taps = (
        -0.5 * f**3 + f**2 - 0.5 * f,
        1.5 * f**3 - 2.5 * f**2 + 1,
        -1.5 * f**3 + 2 * f**2 + 0.5 * f,
        0.5 * f**3 - 0.5 * f**2,
    )
    return np.stack(taps, axis=1).astype(np.float32)


def linear_weights() -> npt.NDArray[np.float32]:
    """Linear weights per phase, shape (PHASES, 4), as textures are read by players."""
    f = np.arange(PHASES) / PHASES
    zero = np.zeros(PHASES)
    return np.stack([zero, 1 - f, f, zero], axis=1).astype(np.float32)


@intrinsic
def _weighted_sum(
    _context: Any, source: Any, first: Any, stride: Any, weights: Any, phase_x: Any, phase_y: Any
) -> Any:
    """Sum of the 4 x 4 samples from flat index `first`, rows `stride` apart (all uint64)."""
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
    """Fill `out` with `border`, then its runs with weighted sums, rounded and held in 0..peak.

    Args:
        source: the padded source plane, flat, uint8 or uint16.
        stride: samples per row of the padded source.
        runs: int32 (n, 3): row of `out`, first column, column to stop before.
        first_taps: uint32 index into `source` of each sample's first tap, in the order of `runs`.
        phases_x: uint8 phases to match.
        phases_y: uint8 phases to match.
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
