"""Small runs that make any deliverable, with the stand-in engine, and readers of what they made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from support.brightness import brightness_config
from support.media.media_fixtures import BT709, people_picture, write_clip
from vrmatte.commands.run import matte_video
from vrmatte.deliverable_kinds import KINDS, DeliverableName
from vrmatte.frames import ColorTags, PlanarFrame
from vrmatte.media.decode import read_frames, read_grey
from vrmatte.media.planes import to_planar
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.scan import scan_timeline
from vrmatte.media.sequences.sequence import read_sequence_frame
from vrmatte.report.report import RunReport
from vrmatte.settings.config import Config

ALL: tuple[DeliverableName, ...] = tuple(KINDS)
FRAMES = 10
CHUNK_FRAMES = 4
EYE = 96
STEM = "clip_180_LR"
"""Tags as cameras write them, not as our own names have them."""


@dataclass(frozen=True)
class Made:
    """A source, its frames, and what was made of it."""

    source: SourceInfo
    frames: list[PlanarFrame]
    mattes: list[np.ndarray]
    """As stored."""
    report: RunReport

    @property
    def files(self) -> dict[str, Path]:
        return {file.deliverable: Path(file.path) for file in self.report.files}

    def opaque(self, at: int) -> np.ndarray:
        """Where frame `at` shows people alone, chroma's neighbourhood included."""
        found = cv2.erode((self.mattes[at] == 255).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert found.sum() > 400
        return found


def write_source(folder: Path, stem: str = STEM, **clip: Any) -> Path:
    path = folder / f"{stem}.mp4"
    settings: dict[str, Any] = {"size": (2 * EYE, EYE), "frames": FRAMES, "draw": people_picture}
    write_clip(path, **(settings | {"options": {"crf": "12"}} | clip))
    return path


def settings_of(**settings: Any) -> Config:
    """Settings from "section__key"; deliver is a key of `output`."""
    tree: dict[str, dict[str, Any]] = {
        "output": {"encoder": "software", "report": "json"},
        "processing": {"chunk_size": CHUNK_FRAMES},
        "stereo": {"consistency_mode": "independent"},  # ovals are no stereo pair
    }
    for name, value in settings.items():
        section, key = name.split("__")
        tree.setdefault(section, {})[key] = value
    return brightness_config(tree)


def run(source: Path, out: Path, observer: Any = lambda _: None, **settings: Any) -> RunReport:
    return matte_video(source, out, settings_of(**settings), observer=observer)


def stored_mattes(out: Path, stem: str = STEM) -> list[np.ndarray]:
    files = sorted((out / ".vrmatte" / stem / "chunks").glob("*/matte.mkv"))
    return [matte for file in files for _, matte in read_grey(file)]


def frames_of(source: SourceInfo) -> list[PlanarFrame]:
    return list(read_frames(source, scan_timeline(source, lambda _: None), 0, FRAMES))


def made_of(path: Path, out: Path, **settings: Any) -> Made:
    report = run(path, out, **settings)
    source = probe(path, projection=report.settings["input"]["projection"])
    return Made(source, frames_of(source), stored_mattes(out, path.stem), report)


def planes_of(path: Path, layout: Any = None, color: ColorTags = BT709) -> list[PlanarFrame]:
    with av.open(str(path)) as container:
        return [to_planar(frame, layout, color) for frame in container.decode(video=0)]


def pictures_in(folder: Path) -> list[np.ndarray]:
    return [read_sequence_frame(path) for path in sorted(folder.glob("*_[0-9]*.*"))]


def layout_of(path: Path) -> Any:
    return probe(path, layout="side_by_side", projection="half_equirect").layout


def contents(out: Path) -> dict[str, bytes]:
    """Every finished file and picture, by its path; not the report, which tells the time."""
    kept = [p for p in out.rglob("*") if p.is_file() and ".vrmatte" not in p.parts]
    found = {str(p.relative_to(out)): p.read_bytes() for p in kept if "_report" not in p.name}
    assert not [name for name in found if ".part" in name]
    return found
