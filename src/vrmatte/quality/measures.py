"""What is measured without truth: the words, units and limits that pages and tables show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vrmatte.frames import DoubleArray, Mask

MeasureName = Literal[
    "jaggedness_px",
    "edge_width_px",
    "image_agreement",
    "fine_share",
    "fine_kept",
    "softness_px",
    "offset_px",
    "band_difference",
    "wander_px",
    "picture_wander_px",
    "unrest",
    "area_change",
    "coverage",
    "components_changed",
    "stereo",
]


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured, as it is told to people."""

    name: MeasureName
    label: str
    unit: str
    """"px", "px of 512" (of small eyes), "%" (values are shares 0..1), "x" (multiples) or "" (plain
    numbers)."""
    good: str
    """What a good matte has."""
    fooled: str
    """How a bad matte can look good in it."""
    limit: float | None
    """Beyond it a frame is worth looking at; None: it is shown, not judged."""
    higher_is_worse: bool
    beside: MeasureName | None = None
    """What it must never be shown without."""

    def is_beyond(self, values: DoubleArray) -> Mask:
        """Which values are beyond the limit."""
        if self.limit is None:
            return np.zeros(values.shape, np.bool_)
        return values >= self.limit if self.higher_is_worse else values <= self.limit

    def severity(self, value: float) -> float:
        """How far a value is on the bad side; above 1 it is beyond the limit."""
        if self.limit is None:
            return 0.0
        if self.higher_is_worse:
            return value / self.limit
        return (1 - value) / (1 - self.limit)


MEASURES: Mapping[MeasureName, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "jaggedness_px",
            "jagged outline",
            "px",
            "up to 0.18",
            "A soft or blurred outline is smooth wherever it lies.",
            0.26,
            higher_is_worse=True,
            beside="edge_width_px",
        ),
        Measure(
            "edge_width_px",
            "width of the edge",
            "px",
            "1.5 to 3.5",
            "A hard mask has a narrow edge; out-of-focus people have a wide one rightly.",
            4.5,
            higher_is_worse=True,
            beside="jaggedness_px",
        ),
        Measure(
            "image_agreement",
            "outline on the picture's edges",
            "%",
            "above 60 %",
            "Patterns have edges of their own; missing limbs have no outline.",
            0.4,
            higher_is_worse=False,
            beside="offset_px",
        ),
        Measure(
            "offset_px",
            "how far out the outline lies",
            "px",
            "-1 to 0.5",
            "Where skin meets shadow the picture's own edge lies off.",
            None,
            higher_is_worse=True,
            beside="image_agreement",
        ),
        Measure(
            "softness_px",
            "half-transparent width of the edge",
            "px of 512",
            "1 to 2; hair flying freely up to 3",
            "Hard masks have none; smoke, veils and blurred motion have it rightly.",
            4.0,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "fine_share",
            "fine structure",
            "%",
            "as much as the people have: 1 % with short hair, 5 % and more with flying hair",
            "Noise on the outline counts as fine structure.",
            None,
            higher_is_worse=False,
        ),
        Measure(
            "fine_kept",
            "fine structure kept",
            "x",
            "near 1: as much as in the clip's middle frame",
            "What is lost in all frames isn't missed; people who turn away lose some rightly.",
            0.6,
            higher_is_worse=False,
            beside="fine_share",
        ),
        Measure(
            "band_difference",
            "change of the edge against the picture's motion",
            "%",
            "as little as the floor",
            "Blurring hair away makes any matte calm.",
            None,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "wander_px",
            "wander of the edge against the picture's motion",
            "px of 512",
            "as little as the picture's own",
            "Blurring hair away makes any matte calm.",
            None,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "picture_wander_px",
            "wander of the picture's own edges",
            "px of 512",
            "it is the clip's, not the matte's",
            "Noise and blurred motion raise it.",
            None,
            higher_is_worse=True,
            beside="wander_px",
        ),
        Measure(
            "unrest",
            "unrest of the edge",
            "x",
            "up to 1.2: hardly more than the picture's own edges",
            "Blurring hair away makes any matte calm.",
            2.0,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "area_change",
            "jump of somebody's area",
            "%",
            "below 3 % a frame",
            "What is lost slowly makes no jump.",
            0.03,
            higher_is_worse=True,
        ),
        Measure(
            "coverage",
            "somebody's share of their box",
            "%",
            "20 to 80 %",
            "Anything in the box counts as the person.",
            0.03,
            higher_is_worse=False,
        ),
        Measure(
            "components_changed",
            "parts that come or go",
            "",
            "none",
            "Parts that touch a person belong to them.",
            1.0,
            higher_is_worse=True,
        ),
        Measure(
            "stereo",
            "agreement of the eyes",
            "",
            "above 0.95",
            "What is wrong in both eyes alike is agreement.",
            0.95,
            higher_is_worse=False,
        ),
    )
}
