"""Makes one folder of a sequence's chunks, proves it, and gives it its name.

Frames are hard-linked where the file system can, else moved. Every step may be cut off by a kill
and be done again: what is in place already is recognised by its size, and by its digest at the end.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from vrmatte.errors import OutputError, VerificationError, output_error
from vrmatte.files import ChunkFile, commit_file, sha256_of
from vrmatte.frames import Timeline
from vrmatte.media.sequences.sequence import (
    FrameFile,
    SequenceSpec,
    listing_text,
    read_listing,
    read_sequence_frame,
    seconds_text,
)
from vrmatte.platform_support import is_link, remove_file, replace_file, sync_directory
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore

LISTING = "frames.json"
TIMING = "timing.csv"


def gather_sequence(
    listings: Sequence[Path],
    target: Path,
    spec: SequenceSpec,
    timeline: Timeline,
    observer: Observer = ignore,
) -> Path:
    """Bring all frames into `target.part`, with their listing and times; returns that folder.

    Args:
        listings: of the chunks, in order, each beside its folder of frames.
        target: the folder to be; an earlier one under that name is not touched yet.
        spec: what all files have in common.
        timeline: times of the frames, one each.
        observer: told of every frame.

    Raises:
        OutputError: a frame is gone: its chunk's listing is deleted, so that the next run makes
            what lacks. Or the folder can't be written.
        DiskFullError: no space left.
        VerificationError: a listing is damaged.
    """
    part = target.with_name(target.name + ".part")
    observer(Started("join", len(timeline), target.name))
    frames: list[FrameFile] = []
    try:
        if is_link(part):  # what doesn't belong in it is about to go
            part.unlink()
        part.mkdir(exist_ok=True)
        for listing in listings:
            for frame in read_listing(listing)[1]:
                _place(frame, listing, part, target)
                frames.append(frame)
                observer(Advanced("join", len(frames)))
        _remove_others(part, {frame.file for frame in frames})
        _check_numbers(part, frames, timeline)
        _write_listings(part, spec, frames, timeline)
    except OSError as error:
        raise output_error(error, part) from error
    observer(Finished("join"))
    return part


def verify_sequence(
    folder: Path,
    spec: SequenceSpec,
    timeline: Timeline,
    first_number: int,
    observer: Observer = ignore,
) -> int:
    """Check that a folder holds every frame once, as listed; each is decoded. Returns their count.

    Args:
        folder: as `gather_sequence` made it.
        spec: what all files have in common.
        timeline: times of the frames, one each.
        first_number: number of the first frame in the whole source.
        observer: told of every frame.

    Raises:
        VerificationError: something differs.
    """
    facts, frames = read_listing(folder / LISTING)
    observer(Started("verify", len(timeline), folder.name))
    _check_numbers(folder, frames, timeline)
    numbers = range(first_number, first_number + len(timeline))
    if [(f.number, f.file) for f in frames] != [(n, spec.file_name(n)) for n in numbers]:
        raise VerificationError(f"{folder}: does not list frames {numbers[0]} to {numbers[-1]}")
    times = [entry.get("seconds") for entry in facts["frames"]]
    if times != list(_times(timeline)):
        raise VerificationError(f"{folder / LISTING}: times differ from the source's")
    extra = {p.name for p in folder.glob(f"*.{spec.kind}")} - {f.file for f in frames}
    if extra:
        raise VerificationError(f"{folder / min(extra)}: is no frame of the source")
    for count, frame in enumerate(frames, 1):
        _check_frame(folder / frame.file, frame, spec)
        observer(Advanced("verify", count))
    observer(Finished("verify"))
    return len(frames)


def publish_sequence(part: Path, target: Path) -> ChunkFile:
    """Give a proven folder its name; returns its listing, whose digest stands for all frames.

    An earlier folder of that name goes; files in it that aren't of a sequence are kept, in
    `target.replaced-N`.

    Raises:
        OutputError, DiskFullError: the operating system refuses.
    """
    try:
        sync_directory(part)
        for left_over in target.parent.glob(f"{glob.escape(target.name)}.replaced-*"):
            _clear(left_over)
        aside = _free_name(target)
        if target.exists():
            replace_file(target, aside)
        replace_file(part, target)
        sync_directory(target.parent)
        _clear(aside)
        listing = target / LISTING
        _, frames = read_listing(listing)
        return ChunkFile(listing, listing.stat().st_size, sha256_of(listing), len(frames))
    except OSError as error:
        raise output_error(error, target) from error


def _place(frame: FrameFile, listing: Path, part: Path, target: Path) -> None:
    """Link or move a frame's file into `part`, from its chunk or else from a finished folder."""
    place = part / frame.file
    made = listing.with_suffix("") / frame.file
    if _has_size(made, frame):
        if place.exists() and place.samefile(made):
            return
        remove_file(place)
        _link_or_move(made, place)
        return
    # Where links can't be made an earlier attempt has moved the file on, at most into `target`.
    if _is(place, frame):
        return
    finished = target / frame.file
    if _is(finished, frame):
        remove_file(place)
        _link_or_move(finished, place)
        return
    remove_file(made)
    remove_file(listing)
    raise OutputError(
        f"{target.name}: frame {frame.number} is gone or damaged; run the same command again"
    )


def _link_or_move(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError:  # no hard links here (exFAT, some network drives), or another drive
        shutil.move(path, place)


def _has_size(path: Path, frame: FrameFile) -> bool:
    return path.is_file() and path.stat().st_size == frame.bytes


def _is(path: Path, frame: FrameFile) -> bool:
    return _has_size(path, frame) and sha256_of(path) == frame.sha256


def _remove_others(part: Path, names: set[str]) -> None:
    for path in part.iterdir():
        if path.name not in names:
            remove_file(path)


def _check_numbers(folder: Path, frames: Sequence[FrameFile], timeline: Timeline) -> None:
    if len(frames) != len(timeline):
        raise VerificationError(f"{folder}: holds {len(frames)} frames, the source {len(timeline)}")
    for before, after in itertools.pairwise(frames):
        if after.number != before.number + 1:
            raise VerificationError(f"{folder}: frame {after.number} follows frame {before.number}")


def _times(timeline: Timeline) -> Iterator[str]:
    return (seconds_text(int(pts), timeline.time_base) for pts in timeline.pts)


def _write_listings(
    part: Path, spec: SequenceSpec, frames: Sequence[FrameFile], timeline: Timeline
) -> None:
    times = list(_times(timeline))
    facts = {
        "version": 1,
        "kind": spec.kind,
        "size": list(spec.size),
        "bits": spec.bits,
        "alpha": "straight",
        "light": "linear" if spec.kind == "exr" else "video",
        "primaries": spec.color.primaries,
        "transfer": spec.color.transfer,
        "end_seconds": seconds_text(timeline.end_pts, timeline.time_base),
    }
    rows = [f"{f.number},{f.file},{time}" for f, time in zip(frames, times, strict=True)]
    _commit_text(part / TIMING, "\n".join(["number,file,seconds", *rows, ""]))
    _commit_text(
        part / LISTING, listing_text(facts, frames, lambda place: {"seconds": times[place]})
    )


def _commit_text(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8", newline="\n")
    commit_file(draft, path, 0)


def _check_frame(path: Path, frame: FrameFile, spec: SequenceSpec) -> None:
    if not path.is_file():
        raise VerificationError(f"{path}: is missing")
    if not _is(path, frame):
        raise VerificationError(f"{path}: differs from its digest")
    picture = read_sequence_frame(path)
    height, width = picture.shape[:2]
    if (width, height) != spec.size or picture.dtype.itemsize * 8 != spec.bits:
        raise VerificationError(
            f"{path}: is {width}x{height} with {picture.dtype.itemsize * 8} bits, promised was "
            f"{spec.size[0]}x{spec.size[1]} with {spec.bits}"
        )


def _free_name(target: Path) -> Path:
    names = (target.with_name(f"{target.name}.replaced-{n}") for n in itertools.count(1))
    return next(name for name in names if not name.exists())


_OURS = re.compile(r".+_\d{6,}\.(png|exr)(\.part)?")


def _clear(folder: Path) -> None:
    """Delete what a sequence is made of; the folder too, if nothing else is in it."""
    if is_link(folder) or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name in (LISTING, TIMING) or _OURS.fullmatch(path.name):
            remove_file(path)
    if not any(folder.iterdir()):
        folder.rmdir()
