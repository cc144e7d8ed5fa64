"""A box of directions in an eye."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AngularBox:
    """Bounds in longitude (yaw, positive right) and latitude (pitch, positive up), in degrees.

    Raises:
        ValueError: a minimum above its maximum.
    """

    yaw_min_deg: float
    yaw_max_deg: float
    pitch_min_deg: float
    pitch_max_deg: float

    def __post_init__(self) -> None:
        if self.yaw_min_deg > self.yaw_max_deg or self.pitch_min_deg > self.pitch_max_deg:
            raise ValueError(f"an angular box must not end before it begins: {self}")

    @property
    def width_deg(self) -> float:
        """Extent in yaw, in degrees."""
        return self.yaw_max_deg - self.yaw_min_deg

    @property
    def height_deg(self) -> float:
        """Extent in pitch, in degrees."""
        return self.pitch_max_deg - self.pitch_min_deg

    @property
    def center(self) -> tuple[float, float]:
        """Yaw and pitch of the middle."""
        return (
            (self.yaw_min_deg + self.yaw_max_deg) / 2,
            (self.pitch_min_deg + self.pitch_max_deg) / 2,
        )

    @property
    def area_deg2(self) -> float:
        """Solid angle in square degrees; a degree of yaw counts less near the poles."""
        low, high = math.radians(self.pitch_min_deg), math.radians(self.pitch_max_deg)
        return self.width_deg * math.degrees(math.sin(high) - math.sin(low))

    def intersection(self, other: AngularBox) -> AngularBox | None:
        """Return the overlap of both boxes; None if they don't overlap."""
        yaw_min = max(self.yaw_min_deg, other.yaw_min_deg)
        yaw_max = min(self.yaw_max_deg, other.yaw_max_deg)
        pitch_min = max(self.pitch_min_deg, other.pitch_min_deg)
        pitch_max = min(self.pitch_max_deg, other.pitch_max_deg)
        if yaw_min > yaw_max or pitch_min > pitch_max:
            return None
        return AngularBox(yaw_min, yaw_max, pitch_min, pitch_max)

    def union(self, other: AngularBox) -> AngularBox:
        """Return the smallest box that contains both."""
        return AngularBox(
            min(self.yaw_min_deg, other.yaw_min_deg),
            max(self.yaw_max_deg, other.yaw_max_deg),
            min(self.pitch_min_deg, other.pitch_min_deg),
            max(self.pitch_max_deg, other.pitch_max_deg),
        )

    def iou(self, other: AngularBox) -> float:
        """Return the intersection over union of the solid angles, 0..1."""
        shared = self._shared_deg2(other)
        total = self.area_deg2 + other.area_deg2 - shared
        return shared / total if total > 0 else 0.0

    def share_in(self, other: AngularBox) -> float:
        """Return the share of this box's solid angle that lies in the other, 0..1."""
        return self._shared_deg2(other) / self.area_deg2 if self.area_deg2 > 0 else 0.0

    def flat_share_in(self, other: AngularBox) -> float:
        """Return the share of this box in the other, 0..1, with equal weight for all degrees."""
        shared = self.intersection(other)
        area = self.width_deg * self.height_deg
        return 0.0 if shared is None or area == 0 else shared.width_deg * shared.height_deg / area

    def holds(self, yaw_deg: float, pitch_deg: float) -> bool:
        """Return True if a direction lies in the box."""
        return (
            self.yaw_min_deg <= yaw_deg <= self.yaw_max_deg
            and self.pitch_min_deg <= pitch_deg <= self.pitch_max_deg
        )

    def shifted(self, yaw_deg: float) -> AngularBox:
        """Return the box rotated to the right."""
        return AngularBox(
            self.yaw_min_deg + yaw_deg,
            self.yaw_max_deg + yaw_deg,
            self.pitch_min_deg,
            self.pitch_max_deg,
        )

    def clipped(self) -> AngularBox | None:
        """Return the part in the hemisphere that an eye shows; None if there is none."""
        return self.intersection(HEMISPHERE)

    def _shared_deg2(self, other: AngularBox) -> float:
        shared = self.intersection(other)
        return 0.0 if shared is None else shared.area_deg2


HEMISPHERE = AngularBox(-90, 90, -90, 90)
"""The directions that one eye shows."""
