"""Backward following of people who were first detected after they appeared.

The first detection of everybody is known before matting starts. When matting reaches the frames
before one, these and those up to the detection are read ahead once, and people are followed back
through them. The result depends on the video and its people alone: matting that starts within these
frames reads the rest of them again, and finds the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from vrmatte.errors import DamagedInputError
from vrmatte.frames import EYES, FloatArray, PlanarFrame
from vrmatte.masks.source import FollowsBack, Prompt
from vrmatte.matting.network_input import packed
from vrmatte.matting.prompts.prompts import LINGER_FRAMES, PromptedEngine, Prompter
from vrmatte.matting.view_window import ViewWindow
from vrmatte.matting.viewport_matting import SizedPath, seen_through

LOOK_BACK_FRAMES = LINGER_FRAMES
"""Number of frames before their first detection in which people are followed back."""

People = Mapping[int, FloatArray]
"""By person, the certainty that a pixel shows them, shape (images, h, w)."""
ReadAhead = Callable[[int, int], Generator[tuple[int, PlanarFrame]]]
"""Reads frames first..last-1 of the video with their numbers; damaged ones may be missing."""


@dataclass(frozen=True, slots=True)
class LateEntry:
    """A person first detected in a view that was already open."""

    person: int
    frame: int
    first: int
    """First frame of following; the view stands still from here to `frame`."""
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class BackfillSpan:
    """People who join a view shortly after one another, served by one pass over the frames."""

    joins: tuple[LateEntry, ...]

    @property
    def first(self) -> int:
        """Return the first frame of the span."""
        return min(join.first for join in self.joins)

    @property
    def last(self) -> int:
        """Return the last frame of the span."""
        return self.joins[-1].frame

    def goes_on_with(self, join: LateEntry) -> bool:
        """Return True if the next entry shares frames with this span, whose length is bounded."""
        return join.first <= self.last and join.frame <= self.joins[0].frame + LOOK_BACK_FRAMES


def backfill_spans(sized: SizedPath, prompter: Prompter) -> tuple[BackfillSpan, ...]:
    """Return all spans of one view, in the order of their last frames."""
    spans: list[BackfillSpan] = []
    for join in _joins(sized, prompter):
        if spans and spans[-1].goes_on_with(join):
            spans[-1] = BackfillSpan((*spans[-1].joins, join))
        else:
            spans.append(BackfillSpan((join,)))
    return tuple(spans)


def _joins(sized: SizedPath, prompter: Prompter) -> Iterator[LateEntry]:
    path = sized.path
    for person in sorted(prompter.people, key=lambda person: (person.boxes[0].frame, person.id)):
        frame = person.boxes[0].frame
        if not path.is_open(frame):
            continue
        turned = max(turn.frame for turn in path.turns if turn.frame <= frame)
        first = max(frame - LOOK_BACK_FRAMES, turned)
        picture = path.at(frame).picture(sized.width, sized.height)
        prompts = prompter.first_prompts(person, picture)
        if first < frame and prompts:
            yield LateEntry(person.id, frame, first, prompts)


@dataclass(frozen=True, slots=True)
class _SpanMasks:
    """Masks of a span from some frame on."""

    begun: int
    people: Mapping[int, People]
    """By frame."""


class Backfill:
    """Masks of people in the frames before their first detection."""

    def __init__(
        self, source: FollowsBack, spans: Mapping[str, Sequence[BackfillSpan]], read: ReadAhead
    ) -> None:
        """Take the mask source, all spans by view name, and the frame reader."""
        self._source = source
        self._spans = spans
        self._read = read
        self._span_masks: dict[tuple[str, BackfillSpan], _SpanMasks] = {}

    def people(self, index: int, windows: Mapping[str, ViewWindow]) -> dict[str, People]:
        """Return masks of people first detected soon after frame `index`, by view.

        Reads ahead if that was not done; masks of past frames are dropped.

        Raises:
            MemoryError: the source ran out of memory.
        """
        due = [
            (name, span)
            for name in windows
            for span in self._spans.get(name, ())
            if span.first <= index < span.last
        ]
        self._span_masks = {
            key: found
            for key, found in self._span_masks.items()
            if key in due and found.begun <= index
        }
        missing = [key for key in due if key not in self._span_masks]
        if missing:
            self._follow_back(index, missing, windows)
        result: dict[str, People] = {}
        for name, span in due:
            here = self._span_masks[name, span].people.get(index, {})
            result[name] = {**result.get(name, {}), **here}
        return result

    def _follow_back(
        self,
        index: int,
        missing: Sequence[tuple[str, BackfillSpan]],
        windows: Mapping[str, ViewWindow],
    ) -> None:
        images = self._images(index, missing, windows)
        for name, span in missing:
            people = _followed(self._source, span, images[name, span])
            self._span_masks[name, span] = _SpanMasks(index, people)
            del images[name, span]

    def _images(
        self,
        index: int,
        missing: Sequence[tuple[str, BackfillSpan]],
        windows: Mapping[str, ViewWindow],
    ) -> dict[tuple[str, BackfillSpan], dict[int, FloatArray]]:
        """Return the views' images from frame `index` to the end of each span, by frame.

        Frames are read once for all; damaged ones and those after them are left out.
        """
        images: dict[tuple[str, BackfillSpan], dict[int, FloatArray]] = {key: {} for key in missing}
        last = max(span.last for _, span in missing)
        try:
            with closing(self._read(index, last + 1)) as frames:
                for at, frame in frames:
                    wanted = [(name, span) for name, span in missing if at <= span.last]
                    names = list(dict.fromkeys(name for name, _ in wanted))
                    eyes = [packed(frame.eye(eye)) for eye in EYES]
                    views = seen_through([windows[name] for name in names], eyes)
                    seen = dict(zip(names, views, strict=True))
                    for name, span in wanted:
                        images[name, span][at] = seen[name]
        except DamagedInputError:
            pass  # matting reports the damage if it gets there
        return images


def _followed(
    source: FollowsBack, span: BackfillSpan, images: Mapping[int, FloatArray]
) -> dict[int, People]:
    """Return masks by frame, through the unbroken run of frames that ends at the last entry."""
    first = span.last + 1
    while first - 1 in images:
        first -= 1
    joins = [join for join in span.joins if join.frame >= first]
    if first >= span.last:
        return {}
    prompts: dict[int, list[Prompt]] = {}
    for join in joins:
        prompts.setdefault(join.frame - first, []).extend(join.prompts)
    frames = [images[at] for at in range(first, span.last + 1)]
    found = source.before(frames, prompts)
    return {
        at: {join.person: people[join.person] for join in joins if join.first <= at < join.frame}
        for at, people in enumerate(found, first)
    }


@dataclass(frozen=True, slots=True)
class PromptFeed:
    """Feeds an engine with prompts and with the people followed back to each frame."""

    engine: PromptedEngine
    prompter: Prompter
    back: Backfill | None = None

    def __call__(self, index: int, windows: Mapping[str, ViewWindow], ending: str) -> None:
        """Feed the prompts of frame `index`; the engine knows views by name plus this suffix."""
        earlier = {} if self.back is None else self.back.people(index, windows)
        for name, window in windows.items():
            told = self.prompter.told(index, window.picture, earlier.get(name))
            self.engine.tell(f"{name}{ending}", told)
