"""View of the scores, as cards: a measure that misleads alone shares one with its companion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vrmatte.quality.measures import MEASURES, Measure, MeasureName
from vrmatte.quality.summary import MeasureFigure, MeasureSeries, ScoreSummary
from vrmatte.report.page.content import PageContent
from vrmatte.report.page.plots import Line, TimeSpan, measure_plot
from vrmatte.report.page.svg import PALETTE
from vrmatte.report.page.wording import eye_words, measured, person_words

_MOST_LINES = 8
_TITLES: dict[MeasureName, tuple[str, str]] = {
    "jaggedness_px": ("Edge", "Smoothness of the outline at full size, without hair."),
    "image_agreement": ("Edge and image", "Distance of the outline from the edges in the image."),
    "fine_share": (
        "Stability and fine structure",
        "Shown together, because blurring away hair makes any matte stable.",
    ),
    "area_change": ("Area", "Sudden growth or shrinking of a person between frames."),
    "coverage": ("Presence", "Matte inside each detected person's box."),
    "components_changed": ("Parts", "Pieces of the matte that appear or vanish."),
    "stereo": ("Stereo", "Agreement of both eyes on each person."),
}


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One line of a measure's table."""

    person: str
    eye: str
    median: str
    bad_side: str
    worst: str
    worst_frame: int
    beyond: int
    frames: int
    colour: str


@dataclass(frozen=True, slots=True)
class MeasureView:
    """One measure: drawing, figures, and reading advice."""

    label: str
    good: str
    misleads: str
    limit: str
    plot: str
    """SVG; empty if nothing was measured."""
    rows: Sequence[FigureRow]
    left_out: int
    """Number of further lines that only the JSON report holds."""


@dataclass(frozen=True, slots=True)
class CardView:
    """Measures that must be shown together."""

    title: str
    lead: str
    measures: Sequence[MeasureView]


def quality_cards(content: PageContent) -> list[CardView]:
    """Return one card for each group of measures with any values."""
    scores = content.scores
    if scores is None:
        return []
    known = {series.measure for series in scores.series}
    cards: list[CardView] = []
    for group in groups():
        if known.isdisjoint(group):
            continue
        title, lead = next((_TITLES[name] for name in group if name in _TITLES), ("Scores", ""))
        views = [_measure(MEASURES[name], scores, content) for name in group]
        cards.append(CardView(title, lead, views))
    return cards


def groups() -> list[list[MeasureName]]:
    """Group measures with their companions (`Measure.beside`), in the order of `MEASURES`."""
    grouped: list[list[MeasureName]] = []
    for name, measure in MEASURES.items():
        together: list[MeasureName] = [name]
        if measure.beside is not None and measure.beside != name:
            together.append(measure.beside)
        for group in [group for group in grouped if not set(together).isdisjoint(group)]:
            grouped.remove(group)
            together.extend(each for each in group if each not in together)
        grouped.append(together)
    order = list(MEASURES)
    in_order = (sorted(group, key=order.index) for group in grouped)
    return sorted(in_order, key=lambda group: order.index(group[0]))


def _measure(measure: Measure, scores: ScoreSummary, content: PageContent) -> MeasureView:
    pairs = [
        (series, figure)
        for series, figure in zip(scores.series, scores.figures, strict=True)
        if series.measure == measure.name
    ]
    pairs.sort(
        key=lambda pair: pair[1].beyond, reverse=True
    )  # the lines left out are the least bad
    shown = sorted(pairs[:_MOST_LINES], key=lambda pair: (pair[0].person or 0, pair[0].eye))
    painted = list(_painted([series for series, _ in shown], content))
    return MeasureView(
        label=measure.label,
        good=measure.good,
        misleads=measure.misleads,
        limit="" if measure.limit is None else measured(measure.limit, measure.unit),
        plot=_plot(measure, painted, content.span) if painted else "",
        rows=[
            _row(figure, measure, line.colour)
            for (_, figure), line in zip(shown, painted, strict=True)
        ],
        left_out=len(pairs) - len(shown),
    )


def _painted(series: Sequence[MeasureSeries], content: PageContent) -> Iterator[Line]:
    """Colour a single person's lines by eye; several people by person, right eyes dashed."""
    people = sorted({each.person for each in series}, key=lambda person: person or 0)
    for each in series:
        by_person = f"c{people.index(each.person) % PALETTE}"
        tint = each.eye if len(people) == 1 else by_person
        dashed = len(people) > 1 and each.eye == "right"
        seconds = [content.seconds(frame) for frame in each.frames]
        yield Line(seconds, each.values, tint, dashed)


def _plot(measure: Measure, lines: Sequence[Line], span: TimeSpan) -> str:
    name = measure.name.replace("_", "")
    label = f"{measure.label} over time"
    return measure_plot(name, label, lines, span, measure.limit, measure.unit)


def _row(figure: MeasureFigure, measure: Measure, colour: str) -> FigureRow:
    return FigureRow(
        person=person_words(figure.person),
        eye=eye_words(figure.eye),
        median=measured(figure.median, measure.unit),
        bad_side=measured(figure.percentile_95, measure.unit),
        worst=measured(figure.worst, measure.unit),
        worst_frame=figure.worst_frame,
        beyond=figure.beyond,
        frames=figure.frames,
        colour=colour,
    )
