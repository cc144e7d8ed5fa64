"""Both eyes as small Cassini pictures, and the way back to the eyes as they are.

Stereo work happens at one size whatever the video's: what is asked is who is where, not how a hair
runs. Offsets of a tenth of a pixel of a 6K eye are found at this size, since they are found along
whole contours.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from vrmatte.frames import DoubleArray, Eye, FloatArray, Matte, PlanarFrame, Plane
from vrmatte.geometry.projection import Cassini, EyeProjection, Projection
from vrmatte.geometry.remap import SamplingGrid, make_sampling_grid, resample
from vrmatte.geometry.viewport import Rotation, Turned

PICTURE_PX = 512
"""Size of the Cassini pictures."""


class Rectifier:
    """Turns eyes of one kind into Cassini pictures that agree row by row."""

    def __init__(
        self,
        eye: EyeProjection,
        right_rotation: Rotation | None = None,
        picture_px: int = PICTURE_PX,
    ) -> None:
        """Work out all positions.

        Args:
            eye: what each eye shows, at full size.
            right_rotation: turns what the right eye sees to the left eye's frame; None: aligned.
            picture_px: size of the Cassini pictures.
        """
        self.picture_px = min(picture_px, eye.size)
        self.eye_px = eye.size
        self.reduced_px = -(-eye.size // max(1, eye.size // self.picture_px))
        self._reduced = eye.resized(self.reduced_px)
        self._rotation = right_rotation
        picture = Cassini(self.picture_px)
        self._grids = {e: make_sampling_grid(picture, self.seen_by(e, self._reduced)) for e in Eye}
        sites = np.arange(self.reduced_px, dtype=np.float64) + 0.5
        x, y = np.meshgrid(sites, sites)
        self._back = {
            e: self._pixels(picture, self.seen_by(e, self._reduced).directions(x, y)) for e in Eye
        }

    def seen_by(self, eye: Eye, picture: Projection) -> Projection:
        """An eye's own picture with directions told in the frame both share."""
        if eye is Eye.RIGHT and self._rotation is not None:
            return Turned(picture, self._rotation)
        return picture

    def grey(self, frame: PlanarFrame, eye: Eye) -> npt.NDArray[np.uint8]:
        """One eye's luma, shape (picture_px, picture_px).

        Args:
            frame: the eye's planes, any bit depth.
            eye: which one it is.
        """
        small = self._shrunk(frame.y)
        if small.dtype != np.uint8:
            small = cast(Plane, (small >> (frame.layout.bit_depth - 8)).astype(np.uint8))
        return cast(Matte, self._resample(small, self._grids[eye]))

    def matte(self, matte: Matte, eye: Eye) -> FloatArray:
        """One eye's matte, 0..1, shape (picture_px, picture_px)."""
        small = self._resample(self._shrunk(matte), self._grids[eye])
        return small.astype(np.float32) * np.float32(1 / 255)

    def back(self, picture: FloatArray, eye: Eye) -> FloatArray:
        """A smooth Cassini picture over the reduced eye, shape (reduced_px, reduced_px)."""
        x, y = self._back[eye]
        return np.asarray(
            cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
        )

    def counterparts(
        self, disparity: FloatArray, eye: Eye, rows: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Where the other eye's full-size picture shows what the reduced eye's pixels show.

        Args:
            disparity: in Cassini pixels, as the eye sees it, shape (picture_px, picture_px).
            eye: whose pixels.
            rows: how many rows further down the other eye sees them; None: in the same row.

        Returns:
            Continuous x and y in the other eye, in full-size pixels, for each reduced pixel.
        """
        at_x, at_y = self._back[eye]
        sign = 1 if eye is Eye.RIGHT else -1
        other = Eye.LEFT if eye is Eye.RIGHT else Eye.RIGHT
        x = at_x.astype(np.float64) + 0.5 + sign * self.back(disparity, eye)
        y = at_y.astype(np.float64) + 0.5
        if rows is not None:
            y += self.back(rows, eye)
        directions = Cassini(self.picture_px).directions(x, y)
        u, v = self.seen_by(other, self._reduced).pixels(*directions)
        scale = self.eye_px / self.reduced_px
        return (u * scale).astype(np.float32), (v * scale).astype(np.float32)

    def angles_deg(self, eye: Eye) -> tuple[FloatArray, FloatArray]:
        """Yaw (positive right) and pitch (positive up) of Cassini pixels in the eye's own frame."""
        sites = np.arange(self.picture_px, dtype=np.float64) + 0.5
        x, y = np.meshgrid(sites, sites)
        dx, dy, dz = Cassini(self.picture_px).directions(x, y)
        if eye is Eye.RIGHT and self._rotation is not None:
            turn = np.reshape(self._rotation, (3, 3)).T
            dx, dy, dz = (row[0] * dx + row[1] * dy + row[2] * dz for row in turn)
        yaw, pitch = np.degrees(np.arctan2(dx, dz)), -np.degrees(np.arctan2(dy, np.hypot(dx, dz)))
        return yaw.astype(np.float32), pitch.astype(np.float32)

    def _shrunk(self, plane: Plane) -> Plane:
        if plane.shape[0] == self.reduced_px:
            return plane
        size = self.reduced_px, self.reduced_px
        return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_AREA))

    def _resample(self, plane: Plane, grid: SamplingGrid) -> Plane:
        return resample(plane, grid, peak=int(np.iinfo(plane.dtype).max))

    @staticmethod
    def _pixels(
        picture: Cassini, directions: tuple[DoubleArray, ...]
    ) -> tuple[FloatArray, FloatArray]:
        x, y = picture.pixels(*directions)
        return (x - 0.5).astype(np.float32), (y - 0.5).astype(np.float32)
