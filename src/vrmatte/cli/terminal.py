"""Progress bars, tables and JSON on a terminal; plain lines where the output is no terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from vrmatte.errors import one_line
from vrmatte.progress import Advanced, Event, Finished, Notice, Observer, Stage, Started

if TYPE_CHECKING:
    from vrmatte.profiling.run_profile import RunProfile
    from vrmatte.report.report import RunReport
    from vrmatte.subjects import Person, TimedBox

_STAGE_LABELS: Mapping[Stage, str] = {
    "render": "rendering",
    "download": "downloading",
    "scan": "reading frame times",
    "scout": "detecting people",
    "matte": "matting",
    "join": "joining",
    "verify": "verifying",
    "bench": "measuring",
    "score": "comparing",
}
_LINE_EVERY_SECONDS = 10.0
_SPANS_SHOWN = 3


class _Speed(ProgressColumn):
    """Frames per second and time left, without the frames of earlier runs."""

    def render(self, task: Task) -> Text:
        return Text(_speed(task.completed, task.fields["skipped"], task.total, task.elapsed or 0))


def _speed(done: float, skipped: float, total: float | None, seconds: float) -> str:
    if done <= skipped or seconds <= 0:
        return ""
    rate = (done - skipped) / seconds
    text = f"{rate:.1f} fps" if rate >= 1 else f"{1 / rate:.1f} s per frame"
    if total is None or done >= total:
        return text
    left = round((total - done) / rate)
    return f"{text}, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"


class TerminalObserver:
    """Observer that draws events on a console."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._task: TaskID | None = None
        self._total: int | None = None
        self._name = ""
        self._began = self._printed = 0.0

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Advanced):
            self._advance(event)
        elif isinstance(event, Finished):
            self._task = None
        else:
            self._print_notice(event)

    def _start(self, event: Started) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        name = one_line(" ".join(filter(None, (_STAGE_LABELS[event.stage], event.label))))
        self._name, self._total = name, event.total
        self._began = self._printed = time.monotonic()
        self._task = self._progress.add_task(name, total=event.total, skipped=0)

    def _advance(self, event: Advanced) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=event.done, skipped=event.skipped)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._printed > _LINE_EVERY_SECONDS:
            self._printed = now
            speed = _speed(event.done, event.skipped, self._total, now - self._began)
            self._console.print(
                f"{self._name}: {event.done} of {self._total or '?'}, {speed}", highlight=False
            )

    def _print_notice(self, notice: Notice) -> None:
        style = "yellow" if notice.level == "warning" else "dim"
        self._console.print(Text(f"note: {one_line(notice.text)}", style=style), soft_wrap=True)


@contextmanager
def terminal_progress(*, quiet: bool, notices: Iterable[str] = ()) -> Generator[Observer]:
    """Provide an observer that draws on stderr, after it has printed `notices`.

    Args:
        quiet: print nothing.
        notices: messages about the settings.
    """
    console = Console(stderr=True, quiet=quiet, markup=False)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total}"),
        _Speed(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    ) as progress:
        observer = TerminalObserver(console, progress)
        for text in notices:
            observer(Notice(text))
        yield observer


def print_json(value: object) -> None:
    """Print one JSON document; values JSON doesn't have, such as paths, become text."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def print_path(label: str, path: object) -> None:
    """Print a path on one line, however long, so that it can be copied."""
    Console(markup=False).print(f"{label}{one_line(str(path))}", soft_wrap=True, highlight=False)


def new_table(*columns: str, title: str | None = None, right: Iterable[str] = ()) -> Table:
    """Return an empty table that wraps long cells.

    Args:
        columns: headings.
        title: shown above the table.
        right: headings of columns aligned to the right.
    """
    table = Table(title=title)
    for name in columns:
        table.add_column(name, overflow="fold", justify="right" if name in right else "left")
    return table


PERSON_COLUMNS = ("id", "kind", "kept", "confidence", "yaw, pitch")


def person_cells(person: Person, box: TimedBox) -> tuple[str, ...]:
    """Return the cells of a person for `PERSON_COLUMNS`, with the position of one of its boxes."""
    yaw, pitch = box.boxes[0].center
    return (
        str(person.id),
        person.kind.replace("_", " "),
        "yes" if person.keep else "no",
        f"{person.confidence:.2f}",
        f"{yaw:.0f}, {pitch:.0f}",
    )


def print_report(report: RunReport) -> None:
    """Print the files of a run with their checks, doubtful spans, and a profile if there is one."""
    console = Console(markup=False)
    title = f"{report.frames} frames, {report.engine}, {report.seconds:.1f} s"
    table = new_table("file", "size", "verified", title=title)
    for file in report.files:
        table.add_row(
            one_line(file.path), size_text(file.bytes), _checks_text(file.checks, report.frames)
        )
    console.print(table)
    if report.profile is not None:
        _print_profile(console, report.profile)
    for text in _doubts(report):
        print_path("Look at  ", text)
    page = _page_of(report)
    if page is not None:
        print_path("Report   ", page)


def _doubts(report: RunReport) -> Iterator[str]:
    """Yield spans of the video in which the mattes of both eyes disagree."""
    from vrmatte.report.page.wording import clock

    rate = float(Fraction(report.rate))
    people: Any = (report.stereo or {}).get("people", ())
    for person in people:
        spans = [f"{clock(a / rate)} to {clock((b + 1) / rate)}" for a, b in person["flagged"]]
        if spans:
            name = "" if person["person"] is None else f" about person {person['person']}"
            rest = len(spans) - _SPANS_SHOWN
            more = f" and in {rest} more spans" if rest > 0 else ""
            yield f"the eyes disagree{name} at {', '.join(spans[:_SPANS_SHOWN])}{more}"


def _page_of(report: RunReport) -> Path | None:
    """Return the report page beside the files, or the JSON report; None: there is neither."""
    if not report.files:
        return None
    folder, stem = Path(report.files[0].path).parent, Path(report.source).stem
    pages = (folder / f"{stem}_report{suffix}" for suffix in (".html", ".json"))
    return next((page for page in pages if page.is_file()), None)


def _print_profile(console: Console, profile: RunProfile) -> None:
    """Print the time of all chunks, stage by stage."""
    total = profile.in_all
    frames = f"{total.frames} frames in {len(profile.by_chunk)} chunks"
    times = ("CPU ms/frame", "wall ms/frame", "waits ms/frame", "share of wall")
    title = f"profile: {frames}, {total.frames_per_second:.2f} fps"
    table = new_table("stage", *times, title=title, right=times)

    def add(name: str, cpu_ms: float, wall_ms: float, wait_ms: float) -> None:
        per_frame = [f"{total.per_frame(ms):.1f}" for ms in (cpu_ms, wall_ms, wait_ms)]
        table.add_row(name, *per_frame, f"{wall_ms / (total.wall_ms or 1):.1%}")

    for name, stage in total.stages.items():
        add(name.removeprefix("file:"), stage.cpu_ms, stage.wall_ms, stage.wait_ms)
    table.add_section()
    add("whole process", total.cpu_ms, total.wall_ms, 0)
    console.print(table)
    gpu = ""
    if total.gpu_ms is not None:
        gpu = f"; GPU busy {total.per_frame(total.gpu_ms):.1f} ms per frame"
        gpu += f", peak GPU memory {size_text(total.vram_peak_bytes or 0)}"
    console.print(
        f"  peak memory {size_text(total.rss_peak_bytes)}; {size_text(total.read_bytes)} read, "
        f"{size_text(total.written_bytes)} written{gpu}",
        style="dim",
        highlight=False,
    )


def _checks_text(checks: Mapping[str, Any], frames: int) -> str:
    lines: list[str] = []
    if "frames" in checks:
        lines.append(f"{checks['frames']}/{frames} frames, timestamps match")
    packets = sum(stream["packets"] for stream in checks.get("streams", ()))
    if packets:
        lines.append(f"audio and subtitles identical ({packets} packets)")
    for name in ("packed_alpha", "straight_alpha"):
        if name in checks:
            lines.append(f"alpha error {checks[name]['mean']:.2f}/255")
    return "\n".join(lines) or "not checked (switched off)"


def size_text(size: int) -> str:
    """Return a size in bytes as text, such as "12.3 MB"."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"
