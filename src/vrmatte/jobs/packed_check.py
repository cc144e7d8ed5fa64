"""Takes samples of a packed file apart as a player would and compares with the matte store."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from av.video.frame import VideoFrame

from vrmatte.compose.alpha_packed import unpack_alpha
from vrmatte.errors import VerificationError
from vrmatte.frames import Matte
from vrmatte.jobs.workplace import Workplace
from vrmatte.media.decode import read_grey
from vrmatte.media.planes import to_planar
from vrmatte.pipeline import MATTE_FILE
from vrmatte.plan import Plan

WORST_COARSE_ERROR = 6.0
"""Of 255. A good file stays below 1 (tests); a swapped eye or a shifted disc is far above this."""
_CELL_PX = 8
_SMALL_EYE_PX = 512
"""The error lies along edges, whose share grows in smaller pictures."""
SAMPLES = 32


@dataclass(frozen=True, slots=True)
class PackedError:
    """Distance of the unpacked alpha from the stored matte, in steps of 255."""

    sampled_frames: int
    mean: float
    """Mean absolute difference over all pixels, averaged over the sampled frames."""
    worst_mean: float
    """The largest of those frames' means."""
    edge_mean: float
    """Mean absolute difference where the matte is neither 0 nor 255, or next to such a place."""


class PackedCheck:
    """Looks at the first frame of evenly spread chunks."""

    def __init__(self, plan: Plan, place: Workplace) -> None:
        self._plan = plan
        self._place = place
        step = -(-len(plan.chunks) // SAMPLES)
        start = plan.chunks[0].first
        self._wanted = {chunk.first - start: chunk for chunk in plan.chunks[::step]}
        self._means: list[float] = []
        self._edges: list[float] = []

    def look(self, index: int, frame: VideoFrame) -> None:
        """Compare one decoded frame, if it is among the samples.

        Raises:
            VerificationError: the unpacked alpha is far from the matte.
        """
        chunk = self._wanted.get(index)
        if chunk is None:
            return
        frames = read_grey(self._place.chunk_folder(chunk.index) / MATTE_FILE)
        _, matte = next(frames)
        frames.close()
        packed = self._plan.config.output.alpha_packed
        picture = to_planar(frame, self._plan.source.layout, self._plan.source.color)
        unpacked = unpack_alpha(picture, packed.fov_deg)
        difference = np.abs(unpacked.astype(np.int16) - matte)
        mean = float(difference.mean())
        coarse = coarse_error(unpacked, matte)
        if coarse > WORST_COARSE_ERROR * max(1.0, _SMALL_EYE_PX / self._plan.eye_px):
            raise VerificationError(
                f"frame {index}: the packed alpha differs from the matte by {coarse:.1f} of 255 on "
                "average; choose a better output.quality"
            )
        edge = (matte > 0) & (matte < 255)
        self._means.append(mean)
        if edge.any():
            self._edges.append(float(difference[edge].mean()))

    def result(self) -> PackedError:
        """What was found."""
        return PackedError(
            sampled_frames=len(self._means),
            mean=round(float(np.mean(self._means or [0])), 3),
            worst_mean=round(max(self._means, default=0.0), 3),
            edge_mean=round(float(np.mean(self._edges or [0])), 3),
        )


def coarse_error(unpacked: Matte, matte: Matte) -> float:
    """Mean difference of two mattes in cells of some pixels, each weighed by its solid angle.

    Packing keeps 0.4 of the resolution, and fewer meridians near the poles: detail finer than that
    is lost in every good file. What is in the wrong place is so in cells too.
    """
    height, width = (max(1, side // _CELL_PX) for side in matte.shape)
    ours, theirs = (
        cv2.resize(m, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        for m in (unpacked, matte)
    )
    latitudes = (np.arange(height) + 0.5) / height * np.pi - np.pi / 2
    rows = np.abs(ours - theirs).mean(axis=1)
    return float(np.average(rows, weights=np.cos(latitudes)))
