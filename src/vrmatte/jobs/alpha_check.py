"""Unpack the alpha of sampled frames of a finished file and compare it with the matte store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from vrmatte.compose.alpha_packed import unpack_alpha
from vrmatte.compose.edge_controls import EdgeControls
from vrmatte.compose.reproject import Reprojector
from vrmatte.deliverable_kinds import View
from vrmatte.deliverables.decide import Deliverable
from vrmatte.errors import VerificationError
from vrmatte.frames import ColorTags, Matte, half_of
from vrmatte.jobs.job_folder import JobFolder
from vrmatte.media.decode import read_grey
from vrmatte.media.planes import straight_layout, to_planar, to_straight
from vrmatte.outputs import MATTE_FILE
from vrmatte.plan import Chunk, Plan

WORST_COARSE_ERROR = 6.0
"""Limit, of 255. Good files stay below 1 (tests); swapped eyes or a shifted disc are far above."""
_CELL_PX = 8
_SMALL_EYE_PX = 512
"""The error is along edges, which take a larger share of smaller frames."""
SAMPLES = 32
_NO_TAGS = ColorTags()


@dataclass(frozen=True, slots=True)
class AlphaError:
    """Distance of a file's alpha from the stored matte, in steps of 255."""

    sampled_frames: int
    mean: float
    """Mean absolute difference over all pixels, averaged over the sampled frames."""
    worst_mean: float
    """The largest of those frames' means."""
    edge_mean: float
    """Mean absolute difference where the matte is neither 0 nor 255."""


class _Reader(Protocol):
    """Returns the alpha of a decoded frame."""

    def __call__(self, frame: VideoFrame) -> Matte: ...


class AlphaCheck:
    """Compares the first frames of evenly spread chunks."""

    def __init__(
        self,
        name: Literal["packed_alpha", "straight_alpha"],
        plan: Plan,
        job: JobFolder,
        deliverable: Deliverable,
        read: _Reader,
    ) -> None:
        self.name = name
        self._plan = plan
        self._job = job
        self._deliverable = deliverable
        self._read = read
        edge = plan.config.output.edge
        self._edges = EdgeControls(edge.choke_px, edge.feather_px)
        view = plan.source_view
        self._reprojector = Reprojector(view.source, view.target, view.layout, view.color)
        step = -(-len(plan.chunks) // SAMPLES)
        start = plan.chunks[0].first
        self._wanted = {chunk.first - start: chunk for chunk in plan.chunks[::step]}
        self._means: list[float] = []
        self._edge_means: list[float] = []

    def look(self, index: int, frame: VideoFrame) -> None:
        """Compare one decoded frame, if it is among the samples.

        Raises:
            VerificationError: its alpha is far from the matte.
        """
        chunk = self._wanted.get(index)
        if chunk is None:
            return
        matte, alpha = self._expected(chunk), self._read(frame)
        difference = np.abs(alpha.astype(np.int16) - matte)
        coarse = coarse_error(alpha, matte)
        if coarse > WORST_COARSE_ERROR * max(1.0, _SMALL_EYE_PX / self._plan.eye_px):
            raise VerificationError(
                f"frame {index} of {self._deliverable.file_name}: its alpha differs from the matte "
                f"by {coarse:.1f} of 255 on average; choose a better output.quality"
            )
        self._means.append(float(difference.mean()))
        edge = (matte > 0) & (matte < 255)
        if edge.any():
            self._edge_means.append(float(difference[edge].mean()))

    def result(self) -> AlphaError:
        """Return the errors over all compared frames."""
        return AlphaError(
            sampled_frames=len(self._means),
            mean=round(float(np.mean(self._means or [0])), 3),
            worst_mean=round(max(self._means, default=0.0), 3),
            edge_mean=round(float(np.mean(self._edge_means or [0])), 3),
        )

    def _expected(self, chunk: Chunk) -> Matte:
        """Return the alpha that the first frame of a chunk should have in this file."""
        frames = read_grey(self._job.chunk_folder(chunk.index) / MATTE_FILE)
        _, matte = next(frames)
        frames.close()
        matte = self._edges(matte)
        if self.name == "packed_alpha":
            return matte
        matte = self._reprojector.matte(matte)
        eye = self._deliverable.eye
        return matte if eye is None else half_of(matte, eye)


def alpha_check(plan: Plan, job: JobFolder, deliverable: Deliverable) -> AlphaCheck | None:
    """Return a check of a file's alpha during verification; None for files without alpha."""
    if deliverable.kind.view is View.PACKED:
        if not plan.config.output.verify_alpha:
            return None
        packed = plan.config.output.alpha_packed
        source = plan.source

        def unpacked(frame: VideoFrame) -> Matte:
            picture = to_planar(frame, source.layout, source.color)
            return unpack_alpha(picture, packed.fov_deg, view=source.eye_projection)

        return AlphaCheck("packed_alpha", plan, job, deliverable, unpacked)
    if deliverable.kind.has_alpha:
        return AlphaCheck("straight_alpha", plan, job, deliverable, _straight)
    return None


def _straight(frame: VideoFrame) -> Matte:
    layout = straight_layout(frame)
    if layout is None:
        raise VerificationError(f"a frame is {frame.format.name} and has no alpha")
    alpha: npt.NDArray[np.uint8] | npt.NDArray[np.uint16] = to_straight(
        frame, layout, _NO_TAGS
    ).alpha
    return np.rint(alpha * np.float32(255 / layout.peak)).astype(np.uint8)


def coarse_error(unpacked: Matte, matte: Matte) -> float:
    """Return the mean difference of two mattes over cells, weighted by solid angle.

    Packing keeps 0.4 of the resolution, and less near the poles: finer detail is lost in every good
    file. Misplaced alpha still shows in cells.
    """
    height, width = (max(1, side // _CELL_PX) for side in matte.shape)
    first, second = (
        cv2.resize(m, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        for m in (unpacked, matte)
    )
    latitudes = (np.arange(height) + 0.5) / height * np.pi - np.pi / 2
    rows = np.abs(first - second).mean(axis=1)
    return float(np.average(rows, weights=np.cos(latitudes)))
