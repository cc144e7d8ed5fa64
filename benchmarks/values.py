"""Results of benchmarks, as plain values and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from vrmatte.files import replace_text

BENCH_VERSION = 2
QUIET_CORES = 0.25
"""Mean number of cores that other processes may use before wall times count as disturbed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over its repeats."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return median and range of one or more values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one case of a benchmark; their names have the units."""

    bench: str
    case: str
    figures: Mapping[str, Spread]
    others_cores: float
    """Mean number of cores used by other processes; the most of all repeats."""
    load_average: float
    """Load of the last minute at the end of the case, with the benchmark itself."""
    notes: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """True if other processes hardly affected wall times."""
        return self.others_cores <= QUIET_CORES


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure with a bound that must hold; exactly one bound is given."""

    bench: str
    case: str
    figure: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        """True if the figure keeps the bound."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.at_least is not None and self.value >= self.at_least


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The results of one benchmark."""

    rows: tuple[Row, ...]
    goals: tuple[Goal, ...] = ()
    missing: tuple[str, ...] = ()
    """Measurements that were not possible, with reasons."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that was measured."""

    system: str = field(default_factory=platform.platform)
    processor: str = field(default_factory=lambda: _processor())
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    memory_gb: float = field(default_factory=lambda: round(psutil.virtual_memory().total / 1e9, 1))
    python: str = field(default_factory=platform.python_version)


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The results of all benchmarks."""

    machine: Machine
    scope: Mapping[str, object]
    """The requested sizes, lengths and repeats."""
    results: tuple[BenchResult, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all benchmarks."""
        return tuple(row for result in self.results for row in result.rows)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The bounds of all benchmarks."""
        return tuple(goal for result in self.results for goal in result.goals)

    @property
    def missing(self) -> tuple[str, ...]:
        """What could not be measured."""
        return tuple(text for result in self.results for text in result.missing)

    def as_json(self) -> str:
        """Return the report as JSON text."""
        facts = {
            "bench_version": BENCH_VERSION,
            "vrmatte": version("vrmatte"),
            "machine": asdict(self.machine),
            "scope": dict(self.scope),
            "rows": [{**asdict(row), "quiet": row.quiet} for row in self.rows],
            "goals": [{**asdict(goal), "holds": goal.holds} for goal in self.goals],
            "missing": list(self.missing),
        }
        return json.dumps(facts, indent=1, ensure_ascii=False, default=str)


def write_bench_report(report: BenchReport, path: Path) -> None:
    """Write the report atomically.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    replace_text(path, report.as_json() + "\n")


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
