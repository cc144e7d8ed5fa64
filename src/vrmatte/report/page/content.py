"""The data that a report page is built from, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vrmatte.quality.summary import ScoreSummary
from vrmatte.quality.worst_frames import WorstFrame
from vrmatte.report.page.frame_images import FrameImages
from vrmatte.report.page.plots import TimeSpan
from vrmatte.subjects import Person, Shot


@dataclass(frozen=True, slots=True)
class AgreementLine:
    """The agreement of the eyes on one person over time, thinned."""

    person: int | None
    frames: Sequence[int]
    scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class WorstLook:
    """A frame worth a look, with the reason and its images; None if they can't be read."""

    worst: WorstFrame
    images: FrameImages | None


@dataclass(frozen=True, slots=True)
class PageContent:
    """Everything that a page shows."""

    facts: Mapping[str, Any]
    """The report, as it stands in its JSON."""
    defaults: Mapping[str, Any]
    """The default settings, section by section."""
    first: int
    last: int
    """Frames first..last-1 of the source were processed."""
    seconds: Callable[[int], float]
    """Time of a frame in the source."""
    people: Sequence[Person] = ()
    shots: Sequence[Shot] = ()
    scores: ScoreSummary | None = None
    """None: nothing was scored."""
    agreement: Sequence[AgreementLine] = ()
    worst: Sequence[WorstLook] = ()
    samples: Sequence[FrameImages] = ()

    @property
    def span(self) -> TimeSpan:
        """The time that drawings cover."""
        last = self.seconds(self.last - 1)
        frames = self.last - self.first
        step = (last - self.seconds(self.first)) / (frames - 1) if frames > 1 else 0.0
        cuts = [self.seconds(shot.first) for shot in self.shots if shot.first > self.first]
        return TimeSpan(self.seconds(self.first), last + step, cuts)
