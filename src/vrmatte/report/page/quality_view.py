"""The page's cards of scores: what may mislead alone stands beside what tells the truth of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vrmatte.quality.measures import MEASURES, Measure, MeasureName
from vrmatte.quality.summary import Figure, ScoreSummary, Series
from vrmatte.report.page.content import PageContent
from vrmatte.report.page.plots import Line, Span, measure_plot
from vrmatte.report.page.svg import PALETTE
from vrmatte.report.page.wording import eye_words, measured, person_words

_MOST_LINES = 8
_TITLES: dict[MeasureName, tuple[str, str]] = {
    "jaggedness_px": ("Edge", "How clean the outline is, at full size, hair left out."),
    "image_agreement": ("Edge and picture", "Whether the outline lies where the picture has one."),
    "fine_share": (
        "Stability and fine structure",
        "Shown together, because blurring hair away makes any matte calm.",
    ),
    "area_change": ("Area", "Whether somebody grows or shrinks from one frame to the next."),
    "coverage": ("Presence", "Whether people are there where they should be."),
    "components_changed": ("Parts", "Whether pieces of the matte come and go."),
    "stereo": ("Stereo", "Whether both eyes call the same a person."),
}


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One line of a measure's table."""

    who: str
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
    """One measure: drawing, figures, and how to read them."""

    label: str
    good: str
    fooled: str
    limit: str
    plot: str
    """SVG; empty where nothing was measured."""
    rows: Sequence[FigureRow]
    left_out: int
    """So many further lines stand only in the JSON."""


@dataclass(frozen=True, slots=True)
class CardView:
    """Measures that must be seen together."""

    title: str
    lead: str
    measures: Sequence[MeasureView]


def quality_cards(content: PageContent) -> list[CardView]:
    """One card for each group of measures of which anything is known."""
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
    """Measures by what each must never be shown without, in the order of `MEASURES`."""
    found: list[list[MeasureName]] = []
    for name, measure in MEASURES.items():
        together: list[MeasureName] = [name]
        if measure.beside is not None and measure.beside != name:
            together.append(measure.beside)
        for group in [group for group in found if not set(together).isdisjoint(group)]:
            found.remove(group)
            together.extend(each for each in group if each not in together)
        found.append(together)
    order = list(MEASURES)
    grouped = (sorted(group, key=order.index) for group in found)
    return sorted(grouped, key=lambda group: order.index(group[0]))


def _measure(measure: Measure, scores: ScoreSummary, content: PageContent) -> MeasureView:
    pairs = [
        (series, figure)
        for series, figure in zip(scores.series, scores.figures, strict=True)
        if series.measure == measure.name
    ]
    pairs.sort(key=lambda pair: pair[1].beyond, reverse=True)  # what is left out is the least bad
    shown = sorted(pairs[:_MOST_LINES], key=lambda pair: (pair[0].person or 0, pair[0].eye))
    painted = list(_painted([series for series, _ in shown], content))
    return MeasureView(
        label=measure.label,
        good=measure.good,
        fooled=measure.fooled,
        limit="" if measure.limit is None else measured(measure.limit, measure.unit),
        plot=_plot(measure, painted, content.span) if painted else "",
        rows=[
            _row(figure, measure, line.colour)
            for (_, figure), line in zip(shown, painted, strict=True)
        ],
        left_out=len(pairs) - len(shown),
    )


def _painted(series: Sequence[Series], content: PageContent) -> Iterator[Line]:
    """Eyes have their colours; of several people each has one, and the right eye is dashed."""
    people = sorted({each.person for each in series}, key=lambda person: person or 0)
    for each in series:
        own = f"c{people.index(each.person) % PALETTE}"
        tint = each.eye if len(people) == 1 else own
        dashed = len(people) > 1 and each.eye == "right"
        seconds = [content.seconds(frame) for frame in each.frames]
        yield Line(seconds, each.values, tint, dashed)


def _plot(measure: Measure, lines: Sequence[Line], span: Span) -> str:
    name = measure.name.replace("_", "")
    label = f"{measure.label} over time"
    return measure_plot(name, label, lines, span, measure.limit, measure.unit)


def _row(figure: Figure, measure: Measure, colour: str) -> FigureRow:
    return FigureRow(
        who=person_words(figure.person),
        eye=eye_words(figure.eye),
        median=measured(figure.median, measure.unit),
        bad_side=measured(figure.percentile_95, measure.unit),
        worst=measured(figure.worst, measure.unit),
        worst_frame=figure.worst_frame,
        beyond=figure.beyond,
        frames=figure.frames,
        colour=colour,
    )
