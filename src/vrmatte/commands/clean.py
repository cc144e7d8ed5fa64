"""`vrmatte clean DIR`: delete files that no job of a directory needs, never a finished file.

Everything a run needs to continue is kept, and so are the mattes that `render` and `verify` read,
unless the scope includes them. Rows leave the manifest before their files are deleted, so a kill in
between does no harm.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vrmatte.errors import DiskFullError, OutputError, output_error
from vrmatte.jobs.job_folder import (
    ASIDE_FOLDER,
    WORK_FOLDER,
    JobFolder,
    begun_jobs,
    job_stems,
    locked_job,
    refuse_links,
)
from vrmatte.jobs.manifest import Manifest, StoredPiece
from vrmatte.jobs.run_log import RunLog
from vrmatte.platform_support import is_link, remove_file

CleaningScope = Literal["leftovers", "mattes", "all"]
"""Files to delete: those nobody needs, the matte store too, or everything but finished files."""

_FILE_PREFIX = "file:"
"""Prefix of pieces that files are joined from; all other pieces belong to the matte."""
_SET_ASIDE = re.compile(r"(.+)-\d+")
_UNPLANNED = "all files: no run was planned yet"


@dataclass(frozen=True, slots=True)
class DeletedFiles:
    """Files of one kind that were deleted, or would be."""

    job: str
    what: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CleanedJob:
    """Result for one job."""

    job: str
    unfinished: tuple[str, ...]
    """Names of files that are not finished."""
    freed: tuple[DeletedFiles, ...]
    notices: tuple[str, ...]
    """Consequences the user should know."""


@dataclass(frozen=True, slots=True)
class _Deletion:
    """Files of one kind to delete, and the rows of the manifest to delete before them."""

    what: str
    files: tuple[Path, ...]
    rows: tuple[StoredPiece, ...] = ()


def clean_output(
    output: Path | str, scope: CleaningScope = "leftovers", *, dry_run: bool = False
) -> tuple[CleanedJob, ...]:
    """Delete files the jobs in `output` don't need; all jobs are locked first.

    Args:
        output: directory of earlier runs.
        scope: files to delete. Unfinished jobs keep everything a run needs to continue, except
            with "all".
        dry_run: only return what would be deleted.

    Raises:
        InputError: the directory holds no vrmatte job.
        OutputLockedError: a run is writing there.
        OutputError: a link is in the way, or a file can't be deleted.
    """
    output = Path(output)
    stems = sorted({*job_stems(output), *(stem for stem, _ in _set_aside(output))})
    if not stems:
        begun_jobs(output)  # raises InputError
    with ExitStack() as locks:
        places = [locks.enter_context(locked_job(output, stem)) for stem in stems]
        jobs = tuple(_clean_job(place, scope, dry_run=dry_run) for place in places)
    if not dry_run:
        for place in places:  # Windows deletes a lock only once it is released
            with suppress(OSError):  # not empty
                place.folder.parent.rmdir()
    return jobs


def _clean_job(place: JobFolder, scope: CleaningScope, *, dry_run: bool) -> CleanedJob:
    job = place.folder.name
    with ExitStack() as stack:
        manifest = _manifest(place, scope, stack)
        unfinished = () if manifest is None else _unfinished(manifest)
        deletions = [
            deletion
            for deletion in _deletions(place, manifest, scope, unfinished)
            if deletion.files
        ]
        freed = tuple(_summary(job, deletion) for deletion in deletions)
        if scope == "all":
            stack.close()  # its own files are among those to delete
            manifest = None
        if not dry_run:
            _delete(manifest, deletions)
    if not dry_run:
        if freed and scope != "all":
            sizes = {each.what: each.bytes for each in freed}
            with suppress(DiskFullError):
                RunLog(place.folder).note("cleaned", scope=scope, freed_bytes=sizes)
        _remove_empty_folders(place, scope)
    return CleanedJob(job, unfinished, freed, tuple(_notices(scope, unfinished)))


def _manifest(place: JobFolder, scope: CleaningScope, stack: ExitStack) -> Manifest | None:
    """Return the job's manifest; None: missing, or unreadable and to be deleted."""
    if not (place.folder / "manifest.sqlite").is_file():
        return None
    try:
        return stack.enter_context(Manifest(place.folder, place.output))
    except OutputError:
        if scope == "all":
            return None
        raise


def _unfinished(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of files that runs have promised but not finished."""
    promised = manifest.fact("promised")
    if not isinstance(promised, dict):
        return (_UNPLANNED,)
    missing: list[str] = []
    for name, key in promised.items():
        product = manifest.product(name)
        if product is None or product.key != key or not product.is_in_place:
            missing.append(str(manifest.fact(f"file_name:{name}") or name))
    return tuple(missing)


def _deletions(
    place: JobFolder, manifest: Manifest | None, scope: CleaningScope, unfinished: tuple[str, ...]
) -> Iterator[_Deletion]:
    """Yield the files to delete, kind by kind."""
    aside = [path for stem, path in _set_aside(place.output) if stem == place.folder.name]
    for path in aside:
        refuse_links(path)
    yield _Deletion("set aside by --fresh", tuple(file for path in aside for file in _files(path)))
    if scope == "all":
        parts = tuple(_finals_parts(place, manifest, ()))
        yield _Deletion("everything kept", (*parts, *_files(place.folder)))
        return
    parts = tuple(path for path in _files(place.folder) if path.suffix == ".part")
    yield _Deletion("half-written", (*parts, *_finals_parts(place, manifest, unfinished)))
    if manifest is None or unfinished:
        return
    kept = tuple(_pieces_of_last_run(manifest))
    kept_files = {piece.path for piece in kept}
    chunks = [path for path in _files(place.folder / "chunks") if path not in parts]
    yield _Deletion(
        "unused chunks",
        tuple(path for path in chunks if path not in kept_files),
        tuple(piece for piece in manifest.all_pieces() if piece not in kept),
    )
    if scope == "mattes":
        yield _Deletion("mattes", tuple(path for path in chunks if path in kept_files), kept)


def _pieces_of_last_run(manifest: Manifest) -> Iterator[StoredPiece]:
    """Yield the pieces that `render` and `verify` read: mattes, and files that belong to them."""
    keys = manifest.fact("matte_keys")
    for piece in manifest.all_pieces():
        is_wanted = not isinstance(keys, list) or piece.key in keys
        if is_wanted and not piece.name.startswith(_FILE_PREFIX):
            yield piece


def _finals_parts(
    place: JobFolder, manifest: Manifest | None, unfinished: tuple[str, ...]
) -> Iterator[Path]:
    """Yield half-joined files, by the names of the finished ones.

    A folder of images can be continued, so it is kept while its job is unfinished.
    """
    promised = None if manifest is None else manifest.fact("promised")
    if manifest is None or not isinstance(promised, dict):
        return
    for name in promised:
        file_name = str(manifest.fact(f"file_name:{name}") or "")
        draft = place.output / f"{file_name}.part"
        if not file_name or draft.parent != place.output or is_link(draft):
            continue
        if draft.is_file():
            yield draft
        elif not unfinished:
            yield from _files(draft)


def _set_aside(output: Path) -> Iterator[tuple[str, Path]]:
    """Yield the folders that --fresh set aside, each with the name of its job."""
    folder = output / WORK_FOLDER / ASIDE_FOLDER
    for path in sorted(folder.glob("*")) if not is_link(folder) else ():
        match = _SET_ASIDE.fullmatch(path.name)
        if match and path.is_dir() and not is_link(path):
            yield match[1], path


def _files(folder: Path) -> list[Path]:
    """Return all files below a folder that holds no links, sorted."""
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names)


def _summary(job: str, deletion: _Deletion) -> DeletedFiles:
    size = sum(path.stat().st_size for path in deletion.files)
    return DeletedFiles(job, deletion.what, len(deletion.files), size)


def _delete(manifest: Manifest | None, deletions: Iterable[_Deletion]) -> None:
    """Delete rows first: a file without a row is unused, a row without its file is damage."""
    for deletion in deletions:
        for piece in deletion.rows:
            assert manifest is not None
            manifest.forget_piece(piece.chunk, piece.name)
        for path in deletion.files:
            try:
                remove_file(path)
            except OSError as error:
                raise output_error(error, path) from error


def _remove_empty_folders(place: JobFolder, scope: CleaningScope) -> None:
    """Remove empty folders; with "all" also the lock and owner files of the job."""
    work = place.folder.parent
    if scope == "all":
        for suffix in (".owner", ".lock"):
            with suppress(OSError):  # not every system deletes a lock that is held
                place.folder.with_name(place.folder.name + suffix).unlink(missing_ok=True)
    below = [place.folder / "chunks", *(path for _, path in _set_aside(place.output))]
    if scope == "all":
        below.append(place.folder)
    for top in below:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):  # not empty
                os.rmdir(folder)
    for folder in (work / ASIDE_FOLDER, work):
        with suppress(OSError):
            folder.rmdir()


def _notices(scope: CleaningScope, unfinished: tuple[str, ...]) -> Iterator[str]:
    if unfinished and scope != "all":
        yield (
            f"not finished: {', '.join(unfinished)}; everything a run needs to continue is kept "
            "(--all deletes it)"
        )
    elif unfinished:
        yield f"not finished: {', '.join(unfinished)}; a run starts over"
    elif scope == "mattes":
        yield (
            "without mattes `render` can't write further files, `verify` can't compare alpha, and "
            "another run mattes the video again"
        )
    if scope == "all":
        yield "`verify` and `render` no longer work for the finished files"
