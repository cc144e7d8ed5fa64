"""What benchmarks answer, as plain values and as JSON."""

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

from vrmatte.errors import output_error

BENCH_VERSION = 1
QUIET_CORES = 0.25
"""Others may compute with so many cores, on average, before wall times are called disturbed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over its repeats."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Median and range of one or more values."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one case of a benchmark; units stand in their names."""

    bench: str
    case: str
    figures: Mapping[str, Spread]
    others_cores: float
    """Cores that other processes computed with meanwhile, on average; the most of all repeats."""
    load_average: float
    """Of the last minute, when the case was done; the benchmark's own work is in it."""
    notes: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether wall times are the benchmark's own doing."""
        return self.others_cores <= QUIET_CORES


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure with a bound that must hold; exactly one bound is given."""

    bench: str
    case: str
    figure: str
    found: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the median keeps the bound."""
        if self.at_most is not None:
            return self.found <= self.at_most
        return self.at_least is not None and self.found >= self.at_least


@dataclass(frozen=True, slots=True)
class Findings:
    """What one benchmark found."""

    rows: tuple[Row, ...]
    goals: tuple[Goal, ...] = ()
    missing: tuple[str, ...] = ()
    """What could not be measured, and why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where figures come from."""

    system: str = field(default_factory=platform.platform)
    processor: str = field(default_factory=lambda: _processor())
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    memory_gb: float = field(default_factory=lambda: round(psutil.virtual_memory().total / 1e9, 1))
    python: str = field(default_factory=platform.python_version)


@dataclass(frozen=True, slots=True)
class BenchReport:
    """All that was measured."""

    machine: Machine
    scope: Mapping[str, object]
    """What was asked for."""
    findings: tuple[Findings, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all benchmarks."""
        return tuple(row for found in self.findings for row in found.rows)

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The bounds of all benchmarks."""
        return tuple(goal for found in self.findings for goal in found.goals)

    @property
    def missing(self) -> tuple[str, ...]:
        """What could not be measured."""
        return tuple(text for found in self.findings for text in found.missing)

    def as_json(self) -> str:
        """The report as JSON text."""
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
    """Write the report whole or not at all.

    Raises:
        OutputError, DiskFullError: it can't be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(report.as_json() + "\n", encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        raise output_error(error, path) from error


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
