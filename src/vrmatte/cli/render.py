"""How progress and results look on a terminal; plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from vrmatte.errors import one_line
from vrmatte.profiling.run_profile import RunProfile
from vrmatte.progress import Advanced, Event, Finished, Notice, Observer, Started
from vrmatte.report.report import RunReport

_WORDS = {
    "render": "rendering",
    "download": "fetching",
    "scan": "reading times",
    "scout": "looking for people",
    "matte": "matting",
    "join": "joining",
    "verify": "verifying",
    "bench": "measuring",
    "score": "comparing",
}
_LINE_EVERY_SECONDS = 10.0


class _Speed(ProgressColumn):
    """Frames per second and time left, counted from what this run did itself."""

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
    """Draws events on a console as they come."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._task: TaskID | None = None
        self._total: int | None = None
        self._name = ""
        self._began = self._spoke = 0.0

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Advanced):
            self._advance(event)
        elif isinstance(event, Finished):
            self._task = None
        else:
            self._say(event)

    def _start(self, event: Started) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        name = one_line(" ".join(filter(None, (_WORDS[event.stage], event.label))))
        self._name, self._total = name, event.total
        self._began = self._spoke = time.monotonic()
        self._task = self._progress.add_task(name, total=event.total, skipped=0)

    def _advance(self, event: Advanced) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=event.done, skipped=event.skipped)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._spoke > _LINE_EVERY_SECONDS:
            self._spoke = now
            speed = _speed(event.done, event.skipped, self._total, now - self._began)
            self._console.print(
                f"{self._name}: {event.done} of {self._total or '?'}, {speed}", highlight=False
            )

    def _say(self, notice: Notice) -> None:
        style = "yellow" if notice.level == "warning" else "dim"
        self._console.print(Text(f"note: {one_line(notice.text)}", style=style), soft_wrap=True)


@contextmanager
def terminal_progress(*, quiet: bool) -> Generator[Observer]:
    """An observer that draws on standard error; silent when `quiet`."""
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
        yield TerminalObserver(console, progress)


def print_report(report: RunReport) -> None:
    """The table at the end of a run."""
    console = Console(markup=False)
    table = Table(title=f"{report.frames} frames, {report.engine}, {report.seconds:.1f} s")
    for name in ("file", "size", "verified"):
        table.add_column(name, overflow="fold")
    for file in report.files:
        table.add_row(one_line(file.path), size_text(file.bytes), _checks_text(file.checks))
    console.print(table)
    if report.profile is not None:
        _print_profile(console, report.profile)
        return
    for name, seconds in report.stage_seconds.items():
        share = f"{seconds / report.frames * 1000:.0f} ms per frame"
        console.print(f"  {name.removeprefix('file:')}: {seconds:.1f} s, {share}", style="dim")


def _print_profile(console: Console, profile: RunProfile) -> None:
    """Where the chunks' time went, stage by stage."""
    in_all = profile.in_all
    frames = f"{in_all.frames} frames in {len(profile.by_chunk)} chunks"
    table = Table(title=f"profile: {frames}, {in_all.frames_per_second:.2f} fps")
    table.add_column("stage", overflow="fold")
    for name in ("CPU ms/frame", "wall ms/frame", "waits ms/frame", "share of wall"):
        table.add_column(name, justify="right")

    def add(name: str, cpu_ms: float, wall_ms: float, wait_ms: float) -> None:
        times = [f"{in_all.per_frame(ms):.1f}" for ms in (cpu_ms, wall_ms, wait_ms)]
        table.add_row(name, *times, f"{wall_ms / (in_all.wall_ms or 1):.1%}")

    for name, stage in in_all.stages.items():
        add(name.removeprefix("file:"), stage.cpu_ms, stage.wall_ms, stage.wait_ms)
    table.add_section()
    add("whole process", in_all.cpu_ms, in_all.wall_ms, 0)
    console.print(table)
    card = ""
    if in_all.gpu_ms is not None:
        card = f"; graphics card busy {in_all.per_frame(in_all.gpu_ms):.1f} ms per frame"
        card += f", memory up to {size_text(in_all.vram_peak_bytes or 0)}"
    console.print(
        f"  memory up to {size_text(in_all.rss_peak_bytes)}; {size_text(in_all.read_bytes)} read, "
        f"{size_text(in_all.written_bytes)} written{card}",
        style="dim",
        highlight=False,
    )


def _checks_text(checks: object) -> str:
    assert isinstance(checks, dict)
    parts: list[str] = []
    if "frames" in checks:
        parts.append(f"{checks['frames']} frames, times {checks['times']}")
    streams = checks.get("streams", [])
    parts += [f"{s['packets']} packets of sound or text equal" for s in streams]
    for name, words in (("packed_alpha", "unpacked alpha"), ("straight_alpha", "alpha")):
        if name in checks:
            parts.append(f"{words} off by {checks[name]['mean']:.2f} of 255")
    return "\n".join(parts) or "not checked (switched off)"


def size_text(size: int) -> str:
    """Bytes for people: "12.3 MB"."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"
