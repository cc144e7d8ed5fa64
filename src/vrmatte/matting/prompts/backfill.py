"""People found late, followed back to when they came.

Who is first seen when is known before anything is matted. When matting comes to the frames before,
these and those up to the first sight are read ahead once, and people are followed back through
them. It hangs on the video and its people alone: matting that begins in the midst of these frames
looks at the rest of them again, and finds the same.
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
"""How long before they are first seen people are followed back: as long as they may be there."""

People = Mapping[int, FloatArray]
"""By person, how surely a pixel shows them, shape (pictures, h, w)."""
ReadAhead = Callable[[int, int], Generator[tuple[int, PlanarFrame]]]
"""Reads frames first..last-1 of the video with their numbers; what is damaged may be missing."""


@dataclass(frozen=True, slots=True)
class LateEntry:
    """Somebody who is first seen, through a view that was open before."""

    person: int
    frame: int
    first: int
    """From this frame on they are followed; the view stands still from here to `frame`."""
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class BackfillSpan:
    """People who join a view shortly after one another: one look at the frames serves them all."""

    joins: tuple[LateEntry, ...]

    @property
    def first(self) -> int:
        """The first frame that is looked at."""
        return min(join.first for join in self.joins)

    @property
    def last(self) -> int:
        """The last one."""
        return self.joins[-1].frame

    def goes_on_with(self, join: LateEntry) -> bool:
        """Whether the next to join is followed through frames of this look, which is bounded."""
        return join.first <= self.last and join.frame <= self.joins[0].frame + LOOK_BACK_FRAMES


def backfill_spans(sized: SizedPath, prompter: Prompter) -> tuple[BackfillSpan, ...]:
    """All looks through one view, in the order of their last frames."""
    looks: list[BackfillSpan] = []
    for join in _joins(sized, prompter):
        if looks and looks[-1].goes_on_with(join):
            looks[-1] = BackfillSpan((*looks[-1].joins, join))
        else:
            looks.append(BackfillSpan((join,)))
    return tuple(looks)


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
class _Found:
    """What a look found from some frame on."""

    begun: int
    people: Mapping[int, People]
    """By frame."""


class Backfill:
    """Masks of people in the frames before they are first seen."""

    def __init__(
        self, source: FollowsBack, looks: Mapping[str, Sequence[BackfillSpan]], read: ReadAhead
    ) -> None:
        """Take who follows people, all looks by name of their view, and where frames come from."""
        self._source = source
        self._looks = looks
        self._read = read
        self._found: dict[tuple[str, BackfillSpan], _Found] = {}

    def people(self, index: int, windows: Mapping[str, ViewWindow]) -> dict[str, People]:
        """Masks of those who are first seen soon after frame `index`, by view.

        Looks ahead where that wasn't done; what belongs to frames gone by is dropped.

        Raises:
            MemoryError: the source ran out of memory.
        """
        due = [
            (name, look)
            for name in windows
            for look in self._looks.get(name, ())
            if look.first <= index < look.last
        ]
        self._found = {
            key: found for key, found in self._found.items() if key in due and found.begun <= index
        }
        missing = [key for key in due if key not in self._found]
        if missing:
            self._look(index, missing, windows)
        result: dict[str, People] = {}
        for name, look in due:
            here = self._found[name, look].people.get(index, {})
            result[name] = {**result.get(name, {}), **here}
        return result

    def _look(
        self,
        index: int,
        missing: Sequence[tuple[str, BackfillSpan]],
        windows: Mapping[str, ViewWindow],
    ) -> None:
        pictures = self._pictures(index, missing, windows)
        for name, look in missing:
            people = _followed(self._source, look, pictures[name, look])
            self._found[name, look] = _Found(index, people)
            del pictures[name, look]

    def _pictures(
        self,
        index: int,
        missing: Sequence[tuple[str, BackfillSpan]],
        windows: Mapping[str, ViewWindow],
    ) -> dict[tuple[str, BackfillSpan], dict[int, FloatArray]]:
        """What views show from frame `index` on to the end of each look, by frame.

        Frames are read once for all; of damaged ones and those behind nothing is told.
        """
        pictures: dict[tuple[str, BackfillSpan], dict[int, FloatArray]] = {
            key: {} for key in missing
        }
        last = max(look.last for _, look in missing)
        try:
            with closing(self._read(index, last + 1)) as frames:
                for at, frame in frames:
                    wanted = [(name, look) for name, look in missing if at <= look.last]
                    names = list(dict.fromkeys(name for name, _ in wanted))
                    eyes = [packed(frame.eye(eye)) for eye in EYES]
                    views = seen_through([windows[name] for name in names], eyes)
                    seen = dict(zip(names, views, strict=True))
                    for name, look in wanted:
                        pictures[name, look][at] = seen[name]
        except DamagedInputError:
            pass  # matting itself will say so, should it come there
        return pictures


def _followed(
    source: FollowsBack, look: BackfillSpan, pictures: Mapping[int, FloatArray]
) -> dict[int, People]:
    """Masks by frame, through the unbroken run of frames that ends where the last one joins."""
    first = look.last + 1
    while first - 1 in pictures:
        first -= 1
    joins = [join for join in look.joins if join.frame >= first]
    if first >= look.last:
        return {}
    prompts: dict[int, list[Prompt]] = {}
    for join in joins:
        prompts.setdefault(join.frame - first, []).extend(join.prompts)
    frames = [pictures[at] for at in range(first, look.last + 1)]
    found = source.before(frames, prompts)
    return {
        at: {join.person: people[join.person] for join in joins if join.first <= at < join.frame}
        for at, people in enumerate(found, first)
    }


@dataclass(frozen=True, slots=True)
class PromptFeed:
    """Tells what a prompter knows, and who was followed back to this frame."""

    engine: PromptedEngine
    prompter: Prompter
    back: Backfill | None = None

    def __call__(self, index: int, windows: Mapping[str, ViewWindow], ending: str) -> None:
        """Tell of frame `index`; the engine knows views by their names and this ending."""
        earlier = {} if self.back is None else self.back.people(index, windows)
        for name, window in windows.items():
            told = self.prompter.told(index, window.picture, earlier.get(name))
            self.engine.tell(f"{name}{ending}", told)
