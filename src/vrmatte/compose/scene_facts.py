"""What is known of a video besides its pictures and mattes, for pictures that show it."""

from __future__ import annotations

from dataclasses import dataclass

from vrmatte.frames import Timeline
from vrmatte.geometry.person_boxes import PersonBoxes
from vrmatte.geometry.person_scores import PersonScores
from vrmatte.geometry.viewport import ViewportPath
from vrmatte.subjects import LensAlignment


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """Who is there and how surely, what was looked through, how the lenses stand."""

    people: tuple[PersonBoxes, ...] = ()
    """Everybody who was found, kept or not; empty: nobody was looked for."""
    scores: tuple[PersonScores, ...] = ()
    """Of those people, by id; who has none is taken for sure."""
    viewports: tuple[ViewportPath, ...] = ()
    lenses: LensAlignment | None = None
    timeline: Timeline | None = None
    """All frames of the source; None: nobody asks for times."""

    def score(self, person: int, frame: int) -> float:
        """How surely a person is one in that frame, 0..1."""
        known = next((scores for scores in self.scores if scores.id == person), None)
        return 1.0 if known is None else known.at(frame)


NOTHING_KNOWN = SceneFacts()
