"""Conversion between YUV code values and RGB: colour matrices, ranges and bit depths.

Numbers only, no frames. Codes are those of ITU-T H.273; an unspecified matrix is read as BT.709,
as players do for video of this size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vrmatte.errors import InputError

BT709 = 1
_UNKNOWN_CODES = frozenset({0, 2, 3})
"""Codes without information about a YUV frame: RGB (or reserved), unspecified, reserved."""

_LUMA_WEIGHTS: dict[int, tuple[float, float]] = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}


def known_code(code: int) -> int:
    """Return an H.273 code, or BT.709's in place of one without information."""
    return BT709 if code in _UNKNOWN_CODES else code


def luma_weights(matrix: int) -> tuple[float, float, float]:
    """Return the weights of R, G and B in luma, summing to 1.

    Raises:
        InputError: the matrix isn't a plain luma and colour-difference one (YCgCo, ICtCp).
    """
    code = known_code(matrix)
    if code not in _LUMA_WEIGHTS:
        raise InputError(
            f"the video's colour matrix (code {matrix}) is not supported; accepted are BT.601, "
            "BT.709 and BT.2020. Convert the video to one of them first"
        )
    red, blue = _LUMA_WEIGHTS[code]
    return red, 1 - red - blue, blue


def yuv_to_rgb(matrix: int, bit_depth: int, full_range: bool) -> npt.NDArray[np.float64]:
    """Return the affine map from code values to RGB.

    Returns:
        Shape (3, 4): `rgb = m[:, :3] @ (y, u, v) + m[:, 3]`, RGB 0..1, not clipped.
    """
    red, green, blue = luma_weights(matrix)
    # Rows R, G, B; columns Y 0..1, U and V -0.5..0.5.
    of_unit = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    scale, offset = _unit_from_codes(bit_depth, full_range)
    return np.column_stack([of_unit * scale, of_unit @ offset])


def rgb_to_yuv(
    rgb: tuple[int, int, int], matrix: int, bit_depth: int, full_range: bool
) -> tuple[int, int, int]:
    """Convert one colour to code values.

    Args:
        rgb: each 0..255.
        matrix: H.273 matrix code.
        bit_depth: bits per sample of the result.
        full_range: the result uses all codes.
    """
    weights = luma_weights(matrix)
    r, g, b = (value / 255 for value in rgb)
    y = weights[0] * r + weights[1] * g + weights[2] * b
    unit = np.array([y, (b - y) / (2 * (1 - weights[2])), (r - y) / (2 * (1 - weights[0]))])
    scale, offset = _unit_from_codes(bit_depth, full_range)
    peak = (1 << bit_depth) - 1
    codes = np.clip(np.floor((unit - offset) / scale + 0.5), 0, peak)
    return int(codes[0]), int(codes[1]), int(codes[2])


def _unit_from_codes(
    bit_depth: int, full_range: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the scale and offset that map codes to Y 0..1 and U, V -0.5..0.5."""
    step = 1 << (bit_depth - 8)
    if full_range:
        peak = (1 << bit_depth) - 1
        black, luma_span, chroma_span = 0, peak, peak
    else:
        black, luma_span, chroma_span = 16 * step, 219 * step, 224 * step
    scale = 1 / np.array([luma_span, chroma_span, chroma_span], np.float64)
    return scale, -scale * np.array([black, 128 * step, 128 * step])
