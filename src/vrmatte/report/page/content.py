"""What a page is made from, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrmatte.quality.summary import ScoreSummary
from vrmatte.quality.worst_frames import WorstFrame
from vrmatte.report.page.pictures import FramePictures
from vrmatte.report.page.plots import Span
from vrmatte.subjects import Person, Shot


@dataclass(frozen=True, slots=True)
class AgreementLine:
    """How the eyes agreed on one person over time, thinned."""

    person: int | None
    frames: Sequence[int]
    scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class WorstLook:
    """A frame to look at, why, and its pictures; none where they can't be had."""

    worst: WorstFrame
    pictures: FramePictures | None


@dataclass(frozen=True, slots=True)
class PageContent:
    """All that a page shows."""

    facts: Mapping[str, Any]
    """The report, as it stands in its JSON."""
    defaults: Mapping[str, Any]
    """Settings as they are by default, section by section."""
    first: int
    last: int
    """Frames first..last-1 of the source were made."""
    seconds: Callable[[int], float]
    """Time of a frame in the source."""
    people: Sequence[Person] = ()
    shots: Sequence[Shot] = ()
    scores: ScoreSummary | None = None
    """None: nothing was scored."""
    agreement: Sequence[AgreementLine] = ()
    worst: Sequence[WorstLook] = ()
    samples: Sequence[FramePictures] = ()

    @property
    def span(self) -> Span:
        """The time that drawings cover."""
        last = self.seconds(self.last - 1)
        frames = self.last - self.first
        step = (last - self.seconds(self.first)) / (frames - 1) if frames > 1 else 0.0
        cuts = [self.seconds(shot.first) for shot in self.shots if shot.first > self.first]
        return Span(self.seconds(self.first), last + step, cuts)
