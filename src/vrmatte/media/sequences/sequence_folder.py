"""Joining of the chunks of a sequence into one folder: gathering, verification and renaming.

Frames are hard-linked where the file system supports it, else moved. Every step can be interrupted
and repeated: files already in place are recognised by size, and verified by digest at the end.
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
from vrmatte.files import ChunkFile, draft_path, replace_text, sha256_of
from vrmatte.frames import Timeline
from vrmatte.media.sequences.sequence import (
    FrameFile,
    SequenceSpec,
    listing_text,
    read_listing,
    read_sequence_frame,
    seconds_text,
)
from vrmatte.platform_support import is_link, remove_file, sync_directory
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore

LISTING = "frames.json"
_TIMING = "timing.csv"


def gather_sequence(
    listings: Sequence[Path],
    target: Path,
    spec: SequenceSpec,
    timeline: Timeline,
    observer: Observer = ignore,
) -> Path:
    """Gather all frames in `target.part`, with their listing and times; return that folder.

    Args:
        listings: listings of the chunks, in order, each beside its folder of frames.
        target: the final folder; an earlier one with that name is not changed yet.
        spec: properties of all files.
        timeline: times of the frames.
        observer: receives progress for every frame.

    Raises:
        OutputError: the folder can't be written; or a frame is gone, and its chunk's listing was
            deleted, so that the next run writes the missing frames.
        DiskFullError: no space left.
        VerificationError: a listing is damaged.
    """
    draft = draft_path(target)
    observer(Started("join", len(timeline), target.name))
    frames: list[FrameFile] = []
    try:
        if is_link(draft):  # other files in it are deleted below
            draft.unlink()
        draft.mkdir(exist_ok=True)
        for listing in listings:
            for frame in read_listing(listing)[1]:
                _place(frame, listing, draft, target)
                frames.append(frame)
                observer(Advanced("join", len(frames)))
        _remove_others(draft, {frame.file for frame in frames})
        _check_numbers(draft, frames, timeline)
        _write_listings(draft, spec, frames, timeline)
    except OSError as error:
        raise output_error(error, draft) from error
    observer(Finished("join"))
    return draft


def verify_sequence(
    folder: Path,
    spec: SequenceSpec,
    timeline: Timeline,
    first_number: int,
    observer: Observer = ignore,
) -> int:
    """Check that a folder contains every listed frame, and decode each; return their count.

    Args:
        folder: a folder from `gather_sequence`.
        spec: properties of all files.
        timeline: times of the frames.
        first_number: number of the first frame within the whole source.
        observer: receives progress for every frame.

    Raises:
        VerificationError: a frame, a time or the listing is wrong.
    """
    facts, frames = read_listing(folder / LISTING)
    observer(Started("verify", len(timeline), folder.name))
    _check_numbers(folder, frames, timeline)
    numbers = range(first_number, first_number + len(timeline))
    if [(f.number, f.file) for f in frames] != [(n, spec.file_name(n)) for n in numbers]:
        raise VerificationError(f"{folder}: doesn't list frames {numbers[0]} to {numbers[-1]}")
    times = [entry.get("seconds") for entry in facts["frames"]]
    if times != list(_times(timeline)):
        raise VerificationError(f"{folder / LISTING}: times differ from the source's")
    extra = {p.name for p in folder.glob(f"*.{spec.kind}")} - {f.file for f in frames}
    if extra:
        raise VerificationError(f"{folder / min(extra)}: not a frame of the source")
    for count, frame in enumerate(frames, 1):
        _check_frame(folder / frame.file, frame, spec)
        observer(Advanced("verify", count))
    observer(Finished("verify"))
    return len(frames)


def publish_sequence(draft: Path, target: Path) -> ChunkFile:
    """Rename a verified folder to `target`; return its listing, whose digest covers all frames.

    An earlier folder with that name is deleted; other files than a sequence's in it are kept, in
    `target.replaced-N`.

    Raises:
        OutputError, DiskFullError: the operating system refuses.
    """
    try:
        sync_directory(draft)
        for left_over in target.parent.glob(f"{glob.escape(target.name)}.replaced-*"):
            _clear(left_over)
        aside = _free_name(target)
        if target.exists():
            target.rename(aside)
        draft.rename(target)
        sync_directory(target.parent)
        _clear(aside)
        listing = target / LISTING
        _, frames = read_listing(listing)
        return ChunkFile(listing, listing.stat().st_size, sha256_of(listing), len(frames))
    except OSError as error:
        raise output_error(error, target) from error


def _place(frame: FrameFile, listing: Path, draft: Path, target: Path) -> None:
    """Link or move a frame's file into `draft`, from its chunk or else from a finished folder."""
    place = draft / frame.file
    in_chunk = listing.with_suffix("") / frame.file
    if _has_size(in_chunk, frame):
        if place.exists() and place.samefile(in_chunk):
            return
        remove_file(place)
        _link_or_move(in_chunk, place)
        return
    # Without hard links an earlier attempt may have moved the file, at most into `target`.
    if _is(place, frame):
        return
    finished = target / frame.file
    if _is(finished, frame):
        remove_file(place)
        _link_or_move(finished, place)
        return
    remove_file(in_chunk)
    listing.unlink()
    raise OutputError(
        f"{target.name}: frame {frame.number} is gone or damaged; run the same command again"
    )


def _link_or_move(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError:  # no hard links (exFAT, some network drives), or another drive
        shutil.move(path, place)


def _has_size(path: Path, frame: FrameFile) -> bool:
    return path.is_file() and path.stat().st_size == frame.bytes


def _is(path: Path, frame: FrameFile) -> bool:
    return _has_size(path, frame) and sha256_of(path) == frame.sha256


def _remove_others(draft: Path, names: set[str]) -> None:
    for path in draft.iterdir():
        if path.name not in names:
            remove_file(path)


def _check_numbers(folder: Path, frames: Sequence[FrameFile], timeline: Timeline) -> None:
    if len(frames) != len(timeline):
        raise VerificationError(
            f"{folder}: contains {len(frames)} frames instead of {len(timeline)}"
        )
    for before, after in itertools.pairwise(frames):
        if after.number != before.number + 1:
            raise VerificationError(f"{folder}: frame {after.number} follows frame {before.number}")


def _times(timeline: Timeline) -> Iterator[str]:
    return (seconds_text(int(pts), timeline.time_base) for pts in timeline.pts)


def _write_listings(
    draft: Path, spec: SequenceSpec, frames: Sequence[FrameFile], timeline: Timeline
) -> None:
    times = list(_times(timeline))
    facts = {
        "version": 1,
        "kind": spec.kind,
        "size": list(spec.size),
        "bits": spec.bits,
        "alpha": "straight",
        "light": spec.light,
        "primaries": spec.color.primaries,
        "transfer": spec.color.transfer,
        "end_seconds": seconds_text(timeline.end_pts, timeline.time_base),
    }
    rows = [f"{f.number},{f.file},{time}" for f, time in zip(frames, times, strict=True)]
    replace_text(draft / _TIMING, "\n".join(["number,file,seconds", *rows, ""]))
    replace_text(
        draft / LISTING, listing_text(facts, frames, lambda index: {"seconds": times[index]})
    )


def _check_frame(path: Path, frame: FrameFile, spec: SequenceSpec) -> None:
    if not path.is_file():
        raise VerificationError(f"{path}: missing")
    if not _is(path, frame):
        raise VerificationError(f"{path}: differs from its digest")
    image = read_sequence_frame(path)
    height, width = image.shape[:2]
    bits = image.dtype.itemsize * 8
    if (width, height) != spec.size or bits != spec.bits:
        raise VerificationError(
            f"{path}: is {width}x{height} with {bits} bits instead of "
            f"{spec.size[0]}x{spec.size[1]} with {spec.bits}"
        )


def _free_name(target: Path) -> Path:
    names = (target.with_name(f"{target.name}.replaced-{n}") for n in itertools.count(1))
    return next(name for name in names if not name.exists())


_FRAME_NAME = re.compile(r".+_\d{6,}\.(png|exr)(\.part)?")


def _clear(folder: Path) -> None:
    """Delete the files of a sequence, and the folder if nothing else is in it."""
    if is_link(folder) or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name in (LISTING, _TIMING) or _FRAME_NAME.fullmatch(path.name):
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
