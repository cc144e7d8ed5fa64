"""Kills runs at random moments, takes their disk away, and sees that nothing is lost or changed.

`python scripts/soak.py --kills 200 --seed 1` does it with the real command and a real network. Each
output is begun, killed and starved until a run of it ends by itself; then every decoded frame and
every copied packet is compared with those of an undisturbed run. Exit code 1: one differs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

from support.job_process import JobProcess
from support.media.media_fixtures import write_clip

FRAMES, CHUNK_FRAMES = 24, 4
CHUNKS = FRAMES // CHUNK_FRAMES
STEM = "clip_LR_180"
STAGES = (
    "starting",
    "reading and looking for people",
    "in a chunk",
    "between chunks",
    "joining and verifying",
    "reporting",
)
_ROOM_BYTES = 1 << 30
_MOST_WINDOW_BYTES = 200_000
_MOST_KILLS_OF_ONE = 12
_LONGEST_RUN_SECONDS = 300

Frames = dict[str, list[str]]
"""By file and track: digests of decoded pictures, or of packets, with their times."""


# --- disks that fill up --------------------------------------------------------------------------


class SmallDisk:
    """A file system of its own, in memory, that can be made full and wide again."""

    ends = (0, 5)
    name = "file system without space (ENOSPC)"

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self, left_bytes: int, _pid: int) -> None:
        """Leave so much room and no more, whatever the run writes meanwhile."""
        for _ in range(50):
            state = os.statvfs(self.place)
            used = (state.f_blocks - state.f_bfree) * state.f_frsize
            if self._size(max(used + left_bytes, 4096)):
                return
        raise OSError("the disk could not be made small")

    def empty(self) -> None:
        self._size(_ROOM_BYTES)

    def _size(self, size: int) -> bool:
        order = ["mount", "-o", f"remount,size={size}", str(self.place)]
        return subprocess.run(order, capture_output=True).returncode == 0


class LimitedFiles:
    """Where no file system can be mounted: the run's files may grow no more (EFBIG)."""

    ends = (0, 5, 7)
    name = "files that may not grow (EFBIG)"

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self, left_bytes: int, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (left_bytes, left_bytes))

    def empty(self) -> None:
        pass


@contextlib.contextmanager
def disk(place: Path) -> Iterator[SmallDisk | LimitedFiles]:
    """A disk of its own at an empty directory, where the system allows that."""
    order = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM_BYTES}", "none", str(place)]
    if subprocess.run(order, capture_output=True).returncode:
        yield LimitedFiles(place)
        return
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


# --- what became of a run ------------------------------------------------------------------------


def events_of(out: Path) -> list[dict[str, Any]]:
    """The journal of an output; a line that a kill cut is no line."""
    path = out / ".vrmatte" / STEM / "journal.jsonl"
    found: list[dict[str, Any]] = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def stage_of(events: Sequence[dict[str, Any]], pid: int) -> str:
    """Where the run of a process is, by the journal of all runs before and of its own."""
    begun = [n for n, e in enumerate(events) if e["event"] == "run begun" and e["process"] == pid]
    if not begun:
        return "starting"
    told = [event["event"] for event in events[begun[-1] :] if event["event"] != "notice"]
    if "file finished" in told:
        return "reporting"
    if "planned" not in told:
        return "reading and looking for people"
    if told[-1] == "chunk begun":
        return "in a chunk"
    made = {event["chunk"] for event in events if event["event"] == "chunk committed"}
    return "joining and verifying" if len(made) == CHUNKS else "between chunks"


def made_again(events: Sequence[dict[str, Any]]) -> int:
    """Mattes that were committed and yet made another time."""
    safe: set[int] = set()
    again = 0
    for event in events:
        if event["event"] == "chunk committed":
            safe.add(event["chunk"])
        elif event["event"] == "chunk begun" and event["matte"]:
            again += event["chunk"] in safe
    return again


def frames_of(out: Path) -> Frames:
    """Every decoded picture and every copied packet of the finished files."""
    found: Frames = {}
    for path in sorted((*out.glob("*.mkv"), *out.glob("*.mp4"))):
        with av.open(str(path)) as container:
            pictures = found[f"{path.name} pictures"] = []
            for frame in container.decode(video=0):
                told = hashlib.sha256(repr(frame.pts).encode())
                told.update(frame.to_ndarray().tobytes())
                pictures.append(told.hexdigest())
        with av.open(str(path)) as container:
            for packet in container.demux():
                if packet.stream.type != "video" and packet.size:
                    told = hashlib.sha256(repr((packet.pts, packet.dts)).encode() + bytes(packet))
                    found.setdefault(f"{path.name} sound", []).append(told.hexdigest())
    return found


@dataclass
class Tally:
    """What the soak has seen."""

    kills: int = 0
    by_stage: Counter[str] = field(default_factory=Counter)
    windows: int = 0
    """Runs whose disk was made full."""
    starved: int = 0
    """Those that ended for it."""
    runs: int = 0
    outputs: int = 0
    frames: int = 0
    """Compared."""
    differing: int = 0
    lost: int = 0
    """Missing, or too many."""
    made_again: int = 0
    """Committed chunks that were made another time."""
    wrong_ends: list[str] = field(default_factory=list)
    """Runs that ended in a way that is not foreseen."""

    def compare(self, wanted: Frames, found: Frames) -> None:
        for name in wanted.keys() | found.keys():
            here, there = found.get(name, []), wanted.get(name, [])
            self.frames += len(there)
            self.differing += sum(a != b for a, b in zip(here, there, strict=False))
            self.lost += abs(len(here) - len(there))

    @property
    def is_good(self) -> bool:
        return not (self.differing or self.lost or self.made_again or self.wrong_ends)

    def told(self) -> str:
        stages = ", ".join(f"{self.by_stage[name]} {name}" for name in STAGES)
        return (
            f"{self.kills} kills survived ({stages}); {self.starved} of {self.windows} runs with a "
            f"full disk stopped by it; {self.runs} runs, {self.outputs} outputs finished; "
            f"{self.frames} frames and packets compared, {self.differing} differ, {self.lost} "
            f"lost; {self.made_again} finished chunks made again; "
            f"{len(self.wrong_ends)} runs ended in another way"
        )


# --- the soak ------------------------------------------------------------------------------------


class Soak:
    """Runs of one clip into one output after the other."""

    def __init__(
        self,
        arguments: Sequence[str],
        room: SmallDisk | LimitedFiles,
        logs: Path,
        seed: int,
    ) -> None:
        """Take the arguments of a run, but for `--out`; `logs` lies on another disk."""
        self._arguments = arguments
        self._room = room
        self._logs = logs
        self._dice = random.Random(seed)
        self.tally = Tally()

    def peace(self) -> Frames:
        """What a run makes that nobody disturbs."""
        out = self._room.place / "peace"
        run = self._begin(out)
        code = run.wait(_LONGEST_RUN_SECONDS)
        assert code == 0, f"exit code {code}: {run.errors}"
        wanted = frames_of(out)
        assert len(wanted[f"{STEM}_matte.mkv pictures"]) == FRAMES
        shutil.rmtree(out)
        return wanted

    def go_on(self, wanted: Frames, kills: int, tell: Callable[[str], None] = str) -> Tally:
        """Disturb runs until so many kills were survived, and the last output is finished."""
        tally = self.tally
        while tally.kills < kills:
            out = self._room.place / f"out-{tally.outputs}"
            last = min(kills, tally.kills + _MOST_KILLS_OF_ONE)
            while not self._disturbed(out, may_kill=tally.kills < last):
                if tally.wrong_ends:
                    return tally
            tally.outputs += 1
            tally.compare(wanted, frames_of(out))
            tally.made_again += made_again(events_of(out))
            if not tally.is_good:
                return tally  # what there is to see stays
            shutil.rmtree(out)
            tell(tally.told())
        return tally

    def _begin(self, out: Path) -> JobProcess:
        return JobProcess([*self._arguments, "--out", str(out)], self._logs / "run")

    def _disturbed(self, out: Path, *, may_kill: bool) -> bool:
        """One run; True if it came to its end."""
        dice, tally = self._dice, self.tally
        is_full = dice.random() < 0.15
        kills = may_kill and (not is_full or dice.random() < 0.3)
        goal, delay = self._moment()
        fills_at = dice.choice(STAGES[:-1]), dice.uniform(0, 0.3)
        run = self._begin(out)
        tally.runs += 1
        code = None
        if is_full:
            tally.windows += 1
            code = self._await(run, out, *fills_at)
            if code is None:
                self._room.fill(dice.randrange(_MOST_WINDOW_BYTES), run.pid)
        if kills and code is None:
            code = self._await(run, out, goal, delay)
            if code is None:
                stage = stage_of(events_of(out), run.pid)
                run.kill()
                code = run.wait(_LONGEST_RUN_SECONDS)
                if code == -signal.SIGKILL:
                    tally.kills += 1
                    tally.by_stage[stage] += 1
        if code is None:
            code = run.wait(_LONGEST_RUN_SECONDS)
        self._room.empty()
        return self._judged(run, code, kills=kills, is_full=is_full)

    def _judged(self, run: JobProcess, code: int | None, *, kills: bool, is_full: bool) -> bool:
        if code is None:
            run.kill()
        starved = is_full and code in self._room.ends[1:]
        self.tally.starved += starved
        if code != 0 and not starved and not (kills and code == -signal.SIGKILL):
            self.tally.wrong_ends.append(f"exit code {code}: {run.errors[-2000:]}")
        if starved and "Traceback" in run.errors:
            self.tally.wrong_ends.append(run.errors[-2000:])
        return code == 0

    def _moment(self) -> tuple[str, float]:
        """When to kill: a stage, and seconds after it has begun."""
        dice = self._dice
        (stage,) = dice.choices(STAGES, weights=(1, 2, 6, 2, 6, 2))
        longest = {"reporting": 0.03, "between chunks": 0.002}.get(stage, 0.3)
        if stage == "starting" or stage.startswith("reading"):
            longest = 2.0
        return stage, dice.uniform(0, longest)

    def _await(self, run: JobProcess, out: Path, stage: str, delay: float) -> int | None:
        """Wait for a stage and a while more; the exit code if the run ended before."""
        skips = self._dice.randrange(CHUNKS) if stage == "in a chunk" else 0
        seen = -1
        ends = time.monotonic() + _LONGEST_RUN_SECONDS
        while time.monotonic() < ends:
            events = events_of(out)
            if stage_of(events, run.pid) == stage:
                if seen < 0:
                    skips, seen = skips + len(events), 0
                if len(events) >= skips:
                    return run.wait(delay)
            code = run.wait(0.004)
            if code is not None:
                return code
        return None


def main() -> None:
    """`scripts/soak.py`: the real command with a real network, killed again and again."""
    parser = argparse.ArgumentParser(prog="scripts/soak.py", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many must be survived")
    parser.add_argument("--seed", type=int, default=0, help="of all random choices")
    parser.add_argument("--engine", default="rvm", help="rvm or selfie")
    told = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vrmatte-soak-"))
    clip, place = folder / f"{STEM}.mp4", folder / "disk"
    write_clip(clip, frames=FRAMES, audio=("aac",))
    place.mkdir()
    with disk(place) as room:
        print(f"seed {told.seed}, {told.engine}, full disk: {room.name}", flush=True)
        arguments = [*run_arguments(clip), "--engine", told.engine, "--set", "output.report=json"]
        soak = Soak(arguments, room, folder, told.seed)
        wanted = soak.peace()
        began = time.monotonic()
        tally = soak.go_on(wanted, told.kills, lambda text: print(text, flush=True))
        if not tally.is_good:
            shutil.copytree(place, folder / "kept")
    if tally.is_good:
        shutil.rmtree(folder)
    else:
        print("\n".join(tally.wrong_ends), f"what there is to see lies in {folder}", sep="\n")
    print(f"{'good' if tally.is_good else 'BAD'}: {tally.told()}; {time.monotonic() - began:.0f} s")
    sys.exit(not tally.is_good)


def run_arguments(clip: Path) -> list[str]:
    """`run` with two files to join: the matte, and one with packed alpha."""
    settings = [f"processing.chunk_size={CHUNK_FRAMES}", "output.encoder=software"]
    arguments = ["run", str(clip), "--deliver", "matte-lossless,alpha-packed", "--json"]
    return arguments + [word for setting in settings for word in ("--set", setting)]


if __name__ == "__main__":
    main()
