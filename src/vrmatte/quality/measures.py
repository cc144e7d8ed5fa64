"""Measures that need no ground truth: labels, units and limits for pages and tables."""

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
    """One measure, as it is shown to people."""

    name: MeasureName
    label: str
    unit: str
    """"px", "px of 512" (eyes reduced to 512 px), "%" (values are shares 0..1), "x" (multiples) or
    "" (plain numbers)."""
    good: str
    """The range of a good matte."""
    misleads: str
    """The ways a bad matte can score well, or a good one badly."""
    limit: float | None
    """Beyond it a frame is worth a look; None: the measure is shown, not judged."""
    higher_is_worse: bool
    beside: MeasureName | None = None
    """The measure it must always be shown with."""

    def is_beyond(self, values: DoubleArray) -> Mask:
        """Return a mask of the values beyond the limit."""
        if self.limit is None:
            return np.zeros(values.shape, np.bool_)
        return values >= self.limit if self.higher_is_worse else values <= self.limit

    def severity(self, value: float) -> float:
        """Return the distance of a value towards the bad side; above 1 it is beyond the limit."""
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
            "A soft or blurred outline is smooth, even in the wrong place.",
            0.26,
            higher_is_worse=True,
            beside="edge_width_px",
        ),
        Measure(
            "edge_width_px",
            "edge width",
            "px",
            "1.5 to 3.5",
            "A hard mask has a narrow edge; people out of focus rightly have a wide one.",
            4.5,
            higher_is_worse=True,
            beside="jaggedness_px",
        ),
        Measure(
            "image_agreement",
            "outline on image edges",
            "%",
            "above 60 %",
            "Patterns have edges too; missing limbs have no outline.",
            0.4,
            higher_is_worse=False,
            beside="offset_px",
        ),
        Measure(
            "offset_px",
            "outline offset, outwards",
            "px",
            "-1 to 0.5",
            "Between skin and shadow the image edge itself is displaced.",
            None,
            higher_is_worse=True,
            beside="image_agreement",
        ),
        Measure(
            "softness_px",
            "half-transparent edge width",
            "px of 512",
            "1 to 2; flying hair up to 3",
            "Hard masks have none; smoke, veils and motion blur rightly have much.",
            4.0,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "fine_share",
            "fine structure",
            "%",
            "as much as the people have: 1 % for short hair, 5 % and more for flying hair",
            "Noise on the outline counts as fine structure.",
            None,
            higher_is_worse=False,
        ),
        Measure(
            "fine_kept",
            "fine structure kept",
            "x",
            "near 1, the median of the clip",
            "Detail lost in all frames goes unnoticed; people who turn away rightly lose some.",
            0.6,
            higher_is_worse=False,
            beside="fine_share",
        ),
        Measure(
            "band_difference",
            "edge change after motion compensation",
            "%",
            "as low as the floor",
            "Blurring away hair makes any matte stable.",
            None,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "wander_px",
            "edge drift after motion compensation",
            "px of 512",
            "as low as the drift of the image edges",
            "Blurring away hair makes any matte stable.",
            None,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "picture_wander_px",
            "drift of the image edges",
            "px of 512",
            "a property of the clip, not of the matte",
            "Noise and motion blur raise it.",
            None,
            higher_is_worse=True,
            beside="wander_px",
        ),
        Measure(
            "unrest",
            "edge flicker",
            "x",
            "up to 1.2: hardly more than the image edges",
            "Blurring away hair makes any matte stable.",
            2.0,
            higher_is_worse=True,
            beside="fine_share",
        ),
        Measure(
            "area_change",
            "jump in area",
            "%",
            "below 3 % per frame",
            "A slow loss makes no jump.",
            0.03,
            higher_is_worse=True,
        ),
        Measure(
            "coverage",
            "coverage of the person's box",
            "%",
            "20 to 80 %",
            "Anything in the box counts as the person.",
            0.03,
            higher_is_worse=False,
        ),
        Measure(
            "components_changed",
            "parts that appear or vanish",
            "",
            "none",
            "Parts that touch a person count as the person.",
            1.0,
            higher_is_worse=True,
        ),
        Measure(
            "stereo",
            "agreement of the eyes",
            "",
            "above 0.95",
            "The same error in both eyes counts as agreement.",
            0.95,
            higher_is_worse=False,
        ),
    )
}
