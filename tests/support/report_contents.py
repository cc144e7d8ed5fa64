"""A made-up run for tests of the report's page: every part of the page has something to show."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from support.people import person_of
from vrmatte.frames import YUV420P, ColorTags, PlanarFrame
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.quality.measures import MEASURES, MeasureName
from vrmatte.quality.summary import Figure, ScoreSummary, Series
from vrmatte.quality.worst_frames import WorstFrame
from vrmatte.report.page.content import AgreementLine, PageContent, Shot, WorstLook
from vrmatte.report.page.pictures import FrameLook, encoded
from vrmatte.settings.config import Config
from vrmatte.subjects import Person

FRAMES = 240
RATE = 30
NASTY = "<script>alert(1)</script>\"'&"


def facts(name: str = "clip_LR_180.mp4") -> dict[str, Any]:
    """A report as it stands in JSON."""
    stage = {"cpu_ms": 900.0, "wall_ms": 1000.0, "wait_ms": 0.0}
    profile = {
        "frames": 120,
        "wall_ms": 2000.0,
        "cpu_ms": 3000.0,
        "stages": {"decode": stage, "matte": stage},
        "rss_peak_bytes": 600_000_000,
        "rss_bytes": 500_000_000,
        "gpu_ms": None,
        "vram_peak_bytes": None,
        "read_bytes": 1,
        "written_bytes": 1,
    }
    span = {"first_frame": 3, "last_frame": 4, "start_seconds": 0.1, "end_seconds": 0.2}
    return {
        "vrmatte": "0.1.0",
        "source": f"/videos/{name}",
        "frames": FRAMES,
        "rate": "30",
        "size": [2048, 1024],
        "engine": "rvm",
        "weights": {"file": "w.onnx", "sha256": "5" * 64, "licence": "GPL-3.0", "verified": False},
        "precision": "fp32",
        "eased": [{"first_chunk": 1, "scale": 0.5, "precision": "fp16"}],
        "chunks": 2,
        "files": [
            {
                "deliverable": "alpha-packed",
                "path": f"/out/{name}",
                "bytes": 12_345_678,
                "sha256": "a" * 64,
                "encoder": "H.264",
                "checks": {
                    "frames": FRAMES,
                    "times": "equal to the source's",
                    "packed_alpha": {
                        "sampled_frames": 2,
                        "mean": 0.1,
                        "worst_mean": 0.2,
                        "edge_mean": 4.0,
                    },
                    "streams": [{"packets": 100, "bytes": 5, "sha256": "b" * 64}],
                },
            }
        ],
        "notices": [f"something about {name}"],
        "seconds": 65.0,
        "stage_seconds": {"decode": 4.0, "matte": 50.0, "file:alpha-packed": 9.0},
        "stereo": {
            "warn_below": 0.95,
            "correct_below": 0.9,
            "method": "ensemble",
            "people": [
                {
                    "person": 1,
                    "frames": FRAMES,
                    "mean": 0.97,
                    "worst": 0.8,
                    "worst_frame": 40,
                    "flagged": [[40, 44]],
                    "corrected": [[40, 41]],
                }
            ],
        },
        "profile": {"in_all": profile, "by_chunk": {"0": profile, "1": profile}},
        "damage": {"on_damage": "hold", "frames": 2, "ranges": [span | {"frame_shown": 2}]},
        "failures": [],
        "settings": Config().model_dump(mode="json") | {"people": {"file": name}},
    }


def summary(without: frozenset[MeasureName] = frozenset(), points: int = 120) -> ScoreSummary:
    """Every measure for both eyes, but those left out."""
    series: list[Series] = []
    figures: list[Figure] = []
    for name in MEASURES:
        if name in without or name == "stereo":
            continue
        for eye in ("left", "right"):
            frames = tuple(round(i * (FRAMES - 1) / (points - 1)) for i in range(points))
            values = tuple(0.3 + 0.1 * math.sin(frame / 9) for frame in frames)
            series.append(Series(name, eye, None, frames, values))
            figures.append(Figure(name, eye, None, FRAMES, 0.3, 0.3, 0.39, 0.4, 14, 2))
    return ScoreSummary(FRAMES, tuple(series), tuple(figures), (), ())


def boxes(number: int, first: int, last: int, *, keep: bool = True) -> Person:
    """Somebody who stands still, seen by both eyes."""
    box = AngularBox(-20.0 + 30 * number, 5.0 + 30 * number, -50.0, 20.0)
    return person_of(number, keep, first, last, (first, last - 1), (box,) * 2, (box,) * 2)


def look(number: int, eye_px: int = 96, *, noise: bool = False) -> FrameLook:
    """A frame with a disc in each eye."""
    rng = np.random.default_rng(number)
    y = np.full((eye_px, 2 * eye_px), 90, np.uint8)
    if noise:
        y = rng.integers(0, 256, y.shape, np.uint8)
    across = np.hypot(*(np.mgrid[:eye_px, :eye_px] - eye_px / 2))
    matte = np.tile(np.where(across < eye_px / 4, 255, 0).astype(np.uint8), 2)
    chroma = np.full((eye_px // 2, eye_px), 128, np.uint8)
    frame = PlanarFrame(y, chroma, chroma, YUV420P, ColorTags())
    return FrameLook.of(number, frame, matte, 640)


def content(name: str = "clip_LR_180.mp4", **changes: Any) -> PageContent:
    """All of it, with changes."""
    worst = [
        WorstFrame(40, "left", 1, "area_change", 0.3, 0.03, beyond=True),
        WorstFrame(200, None, None, "stereo", 0.96, 0.95, beyond=False),
    ]
    pictures = encoded([look(40), look(200), look(30), look(150)])
    made = PageContent(
        facts=facts(name),
        defaults=Config().model_dump(mode="json"),
        first=0,
        last=FRAMES,
        seconds=lambda frame: frame / RATE,
        people=(boxes(1, 0, 200), boxes(2, 50, FRAMES, keep=False)),
        shots=(Shot(0, 100), Shot(100, FRAMES)),
        scores=summary(),
        agreement=(AgreementLine(1, (0, 40, 239), (0.98, 0.8, 0.97)),),
        worst=[WorstLook(each, shown) for each, shown in zip(worst, pictures[:2], strict=True)],
        samples=pictures[2:],
    )
    return replace(made, **changes)
