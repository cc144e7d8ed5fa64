"""A picture to look at: source, matte and the people over a plain ground, one above the other."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np

from vrmatte.colorimetry import yuv_to_rgb
from vrmatte.errors import OutputError
from vrmatte.frames import Matte, PlanarFrame, Rgb

_GROUND = (64, 160, 255)


def to_rgb(frame: PlanarFrame, width: int) -> Rgb:
    """A small RGB copy of a frame, shape (H, W, 3), `width` pixels wide."""
    size = (width, round(frame.height * width / frame.width))
    planes = [
        cv2.resize(np.ascontiguousarray(p), size, interpolation=cv2.INTER_AREA)
        for p in (frame.y, frame.u, frame.v)
    ]
    matrix = yuv_to_rgb(frame.color.matrix, frame.layout.bit_depth, frame.color.full_range)
    rgb = np.stack(planes, axis=-1).astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def contact_sheet(frame: PlanarFrame, matte: Matte, width: int = 1280) -> Rgb:
    """Source, matte and composite of one side-by-side frame, stacked; shape (3 * H, W, 3)."""
    source = to_rgb(frame, width)
    size = (source.shape[1], source.shape[0])
    small = cv2.resize(matte, size, interpolation=cv2.INTER_AREA)
    alpha = small[..., None].astype(np.float32) / 255
    over = alpha * source + (1 - alpha) * np.array(_GROUND, np.float32)
    grey = np.repeat(small[..., None], 3, axis=2)
    stacked = np.concatenate([source, grey, (over + 0.5).astype(np.uint8)], axis=0)
    return cast(Rgb, stacked)


def write_png(picture: Rgb, path: Path) -> None:
    """Write an RGB picture.

    Raises:
        OutputError: it can't be written.
    """
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    try:
        if not done:
            raise OSError("the picture can't be encoded")
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"can't write {path}: {error}") from error
