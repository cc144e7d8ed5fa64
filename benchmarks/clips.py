"""Clips for measurements: people rendered once at a small size, enlarged, with added grain.

A few frames are repeated back and forth, so long clips need no further rendering.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.scope import Scope, Size
from vrmatte.demo.clip import write_clip
from vrmatte.demo.scene import DemoPerson, Scene
from vrmatte.errors import output_error
from vrmatte.frames import ColorTags, PlanarFrame, Plane
from vrmatte.media.decode import read_frames
from vrmatte.media.encode import ChunkWriter
from vrmatte.media.encoders import choose_encoder
from vrmatte.media.probe import probe
from vrmatte.media.scan import scan_timeline
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore
from vrmatte.settings.config import OutputConfig

RATE = Fraction(30)
_CLIP_VERSION = 1
"""Raised whenever the content of the clips changes."""
_BT709 = ColorTags(primaries=1, transfer=1, matrix=1)
_GRAIN_LEVELS = 2.5
"""Standard deviation; without grain an enlarged frame is far too easy to encode."""
_GRAIN_PX = 512
_QUALITY: Mapping[str, int] = {"h264": 22, "hevc": 16}
"""Keeps some of the grain: 22 Mbit/s at 2048x1024 and 95 at 6144x3072, as cameras write."""
_WIDEST_H264 = 4096


@dataclass(frozen=True, slots=True)
class ClipMaker:
    """Generator of clips in a folder; each is made once."""

    scope: Scope
    observer: Observer = ignore

    @property
    def folder(self) -> Path:
        """The folder of the clips."""
        return self.scope.out / "clips"

    def clip(self, size: Size, frames: int, variant: int = 0) -> Path:
        """Return a clip of this size and length: H.264 up to 4096 wide, HEVC above.

        Args:
            size: width and height of both eyes.
            frames: number of frames.
            variant: another variant starts elsewhere in the motion.

        Raises:
            OutputError, DiskFullError: it can't be written.
        """
        codec = "h264" if size[0] <= _WIDEST_H264 else "hevc"
        content = f"{frames}-{variant}-{self.scope.base_eye_px}px{self.scope.base_frames}"
        name = f"bench{_CLIP_VERSION}-{size[0]}x{size[1]}-{content}-{codec}_LR_180.mp4"
        path = self.folder / name
        if path.exists():
            return path
        output = OutputConfig(
            codec=codec, encoder="software", preset="ultrafast", quality=_QUALITY[codec]
        )
        spec = choose_encoder(output, *size, 8, RATE).spec
        base = self._base()
        self.observer(Started("render", frames, name))
        with ChunkWriter(path, spec, size, _BT709, 1 / RATE, RATE) as writer:
            for index, frame in enumerate(enlarged(base, size, frames, variant)):
                writer.write(frame, index)
                self.observer(Advanced("render", index + 1))
            writer.commit()
        self.observer(Finished("render"))
        return path

    def frames(self, size: Size, frames: int) -> Iterator[PlanarFrame]:
        """Yield the frames of such a clip, not encoded."""
        return enlarged(self._base(), size, frames, 0)

    def _base(self) -> list[PlanarFrame]:
        """Return the small frames; render them if they are missing."""
        eye_px, frames = self.scope.base_eye_px, self.scope.base_frames
        path = self.folder / f"base-{eye_px}px{frames}_LR_180.mp4"
        if not path.exists():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise output_error(error, self.folder) from error
            part = path.with_name(f"part-{path.name}")
            people = DemoPerson(-0.35, 1.2, phase_seconds=0.4), DemoPerson(0.4, 1.6)
            scene = Scene(people=people, noise=0.0)
            self.observer(Started("render", frames, path.name))
            write_clip(
                part,
                eye_px=eye_px,
                frames=frames,
                rate=RATE,
                scene=scene,
                audio=False,
                on_frame=lambda done: self.observer(Advanced("render", done)),
            )
            self.observer(Finished("render"))
            part.replace(path)
        source = probe(path)
        timeline = scan_timeline(source, ignore)
        return [_copied(frame) for frame in read_frames(source, timeline, 0, len(timeline))]


def enlarged(
    base: list[PlanarFrame], size: Size, frames: int, variant: int
) -> Iterator[PlanarFrame]:
    """Yield the base frames back and forth, enlarged, each with different grain."""
    rng = np.random.default_rng(variant)
    tile = np.round(rng.normal(0, _GRAIN_LEVELS, (_GRAIN_PX, _GRAIN_PX))).astype(np.int16)
    period = max(1, 2 * len(base) - 2)
    for index in range(frames):
        at = (index + variant * len(base) // 2) % period
        small = base[min(at, period - at) if period > 1 else 0]
        y = _grainy(_resized(small.y, size), np.roll(tile, rng.integers(_GRAIN_PX, size=2), (0, 1)))
        u, v = (_resized(plane, (size[0] // 2, size[1] // 2)) for plane in (small.u, small.v))
        yield PlanarFrame(y, u, v, small.layout, _BT709, index)


def _resized(plane: Plane, size: Size) -> Plane:
    return cast(Plane, cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC))


def _grainy(plane: Plane, tile: npt.NDArray[np.int16]) -> Plane:
    height, width = plane.shape
    grain = np.tile(tile, (-(-height // _GRAIN_PX), -(-width // _GRAIN_PX)))[:height, :width]
    return cast(Plane, cv2.add(plane, grain, dtype=cv2.CV_8U))


def _copied(frame: PlanarFrame) -> PlanarFrame:
    """Copy a frame out of the decoder's reused memory."""
    return replace(frame, y=frame.y.copy(), u=frame.u.copy(), v=frame.v.copy())
