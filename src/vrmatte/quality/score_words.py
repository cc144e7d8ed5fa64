"""A run's scores in a few lines: everybody together, one line for each measure, both eyes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vrmatte.quality.score_measures import MEASURES


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One measure of everybody, over both eyes and all the summaries it was taken from."""

    measure: str
    label: str
    unit: str
    median: float
    """Mean of the eyes' medians, weighted by their frames."""
    worst: float
    beyond: int
    """Eye-frames beyond the measure's limit."""
    frames: int
    """Eye-frames it could be told of."""


def score_lines(figures: Iterable[Mapping[str, Any]]) -> list[ScoreLine]:
    """One line for each measure, in the order of the page.

    Args:
        figures: of any number of summaries, as JSON holds them (`ScoreSummary.figures`).
    """
    by_measure: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for figure in figures:
        if figure["person"] is None and figure["frames"]:
            by_measure[figure["measure"]].append(figure)
    lines: list[ScoreLine] = []
    for name, measure in MEASURES.items():
        if name in by_measure:
            eyes = by_measure[name]
            frames = sum(eye["frames"] for eye in eyes)
            worst = (max if measure.higher_is_worse else min)(eye["worst"] for eye in eyes)
            median = sum(eye["median"] * eye["frames"] for eye in eyes) / frames
            beyond = sum(eye["beyond"] for eye in eyes)
            lines.append(
                ScoreLine(
                    name,
                    measure.label,
                    measure.unit,
                    round(median, 4),
                    round(worst, 4),
                    beyond,
                    frames,
                )
            )
    return lines
