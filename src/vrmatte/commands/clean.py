"""`vrmatte clean DIR`: frees what a directory's jobs hold beyond need, never a finished file.

What a run would go on from stays, and so do the mattes that `render` and `verify` read, unless they
are asked for by name. Rows leave the manifest before their files, so a kill in between costs
nothing.
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

Scope = Literal["leftovers", "mattes", "all"]
"""How far cleaning goes: what nobody needs, the matte store too, or all that was kept."""

_OF_FILES = "file:"
"""How names of pieces begin that are joined to files; all others lie beside the matte."""
_SET_ASIDE = re.compile(r"(.+)-\d+")
_UNPLANNED = "all of it: nothing was planned yet"


@dataclass(frozen=True, slots=True)
class Freed:
    """Files of one kind that are gone, or would be."""

    job: str
    what: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CleanedJob:
    """What became of one job."""

    job: str
    unfinished: tuple[str, ...]
    """Files that are promised and not there; none: all are finished."""
    freed: tuple[Freed, ...]
    notices: tuple[str, ...]
    """What the user must know of what was freed, or was not."""


@dataclass(frozen=True, slots=True)
class _Heap:
    """What goes, by its paths; and the rows of the manifest that go first."""

    what: str
    files: tuple[Path, ...]
    rows: tuple[StoredPiece, ...] = ()


def clean_output(
    output: Path | str, scope: Scope = "leftovers", *, dry_run: bool = False
) -> tuple[CleanedJob, ...]:
    """Free what the jobs in `output` don't need; all of them are locked before anything goes.

    Args:
        output: `--out` of earlier runs.
        scope: how far to go. Unfinished jobs keep all that a run goes on from, except with "all".
        dry_run: only tell what would go.

    Raises:
        InputError: the directory holds no vrmatte job.
        OutputLockedError: a run is working there.
        OutputError: a link stands in the way, or a file can't be deleted.
    """
    output = Path(output)
    stems = sorted({*job_stems(output), *(stem for stem, _ in _set_aside(output))})
    if not stems:
        begun_jobs(output)  # says so
    with ExitStack() as locks:
        places = [locks.enter_context(locked_job(output, stem)) for stem in stems]
        return tuple(_clean_job(place, scope, dry_run=dry_run) for place in places)


def _clean_job(place: JobFolder, scope: Scope, *, dry_run: bool) -> CleanedJob:
    job = place.folder.name
    with ExitStack() as stack:
        manifest = _manifest(place, scope, stack)
        unfinished = () if manifest is None else _unfinished(manifest)
        heaps = [heap for heap in _heaps(place, manifest, scope, unfinished) if heap.files]
        freed = tuple(_freed(job, heap) for heap in heaps)
        if scope == "all":
            stack.close()  # its own files are among those that go
            manifest = None
        if not dry_run:
            _free(manifest, heaps)
    if not dry_run:
        if freed and scope != "all":
            told = {each.what: each.bytes for each in freed}
            with suppress(DiskFullError):
                RunLog(place.folder).note("cleaned", scope=scope, freed_bytes=told)
        _remove_empty_folders(place, scope)
    return CleanedJob(job, unfinished, freed, tuple(_notices(scope, unfinished)))


def _manifest(place: JobFolder, scope: Scope, stack: ExitStack) -> Manifest | None:
    """The job's manifest; None: there is none, or it is to go and can't be read."""
    if not (place.folder / "manifest.sqlite").is_file():
        return None
    try:
        return stack.enter_context(Manifest(place.folder, place.output))
    except OutputError:
        if scope == "all":
            return None
        raise


def _unfinished(manifest: Manifest) -> tuple[str, ...]:
    """Names of files that are promised and not in place."""
    promised = manifest.fact("promised")
    if not isinstance(promised, dict):
        return (_UNPLANNED,)
    missing: list[str] = []
    for name, key in promised.items():
        product = manifest.product(name)
        if product is None or product.key != key or not product.is_in_place:
            missing.append(str(manifest.fact(f"file_name:{name}") or name))
    return tuple(missing)


def _heaps(
    place: JobFolder, manifest: Manifest | None, scope: Scope, unfinished: tuple[str, ...]
) -> Iterator[_Heap]:
    """What goes, kind by kind."""
    aside = [path for stem, path in _set_aside(place.output) if stem == place.folder.name]
    for path in aside:
        refuse_links(path)
    yield _Heap("set aside by --fresh", tuple(file for path in aside for file in _files(path)))
    if scope == "all":
        parts = tuple(_finals_parts(place, manifest, ()))
        yield _Heap("all that was kept", (*parts, *_files(place.folder)))
        return
    parts = tuple(path for path in _files(place.folder) if path.suffix == ".part")
    yield _Heap("half-written", (*parts, *_finals_parts(place, manifest, unfinished)))
    if manifest is None or unfinished:
        return
    kept = tuple(_pieces_of_last_run(manifest))
    kept_files = {piece.path for piece in kept}
    chunks = [path for path in _files(place.folder / "chunks") if path not in parts]
    yield _Heap(
        "chunks no file needs",
        tuple(path for path in chunks if path not in kept_files),
        tuple(piece for piece in manifest.all_pieces() if piece not in kept),
    )
    if scope == "mattes":
        yield _Heap("mattes", tuple(path for path in chunks if path in kept_files), kept)


def _pieces_of_last_run(manifest: Manifest) -> Iterator[StoredPiece]:
    """The mattes that `render` and `verify` read, with what lies beside them."""
    keys = manifest.fact("matte_keys")
    for piece in manifest.all_pieces():
        is_wanted = not isinstance(keys, list) or piece.key in keys
        if is_wanted and not piece.name.startswith(_OF_FILES):
            yield piece


def _finals_parts(
    place: JobFolder, manifest: Manifest | None, unfinished: tuple[str, ...]
) -> Iterator[Path]:
    """Half-joined files beside the finished ones, by the names that were promised.

    A folder of pictures is gone on from, so it stays while its job is unfinished.
    """
    promised = None if manifest is None else manifest.fact("promised")
    if manifest is None or not isinstance(promised, dict):
        return
    for name in promised:
        told = str(manifest.fact(f"file_name:{name}") or "")
        part = place.output / f"{told}.part"
        if not told or part.parent != place.output or is_link(part):
            continue
        if part.is_file():
            yield part
        elif not unfinished:
            yield from _files(part)


def _set_aside(output: Path) -> Iterator[tuple[str, Path]]:
    """Work that --fresh moved aside: the job's name, the folder."""
    folder = output / WORK_FOLDER / ASIDE_FOLDER
    for path in sorted(folder.glob("*")) if not is_link(folder) else ():
        match = _SET_ASIDE.fullmatch(path.name)
        if match and path.is_dir() and not is_link(path):
            yield match[1], path


def _files(folder: Path) -> list[Path]:
    """All files of a folder that holds no links, sorted."""
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return sorted(found)


def _freed(job: str, heap: _Heap) -> Freed:
    return Freed(job, heap.what, len(heap.files), sum(path.stat().st_size for path in heap.files))


def _free(manifest: Manifest | None, heaps: Iterable[_Heap]) -> None:
    """Rows first: a file without a row is nobody's, a row without its file is damage."""
    for heap in heaps:
        for piece in heap.rows:
            assert manifest is not None
            manifest.forget_piece(piece.chunk, piece.name)
        for path in heap.files:
            try:
                remove_file(path)
            except OSError as error:
                raise output_error(error, path) from error


def _remove_empty_folders(place: JobFolder, scope: Scope) -> None:
    """Folders that nothing is left in; with "all" also what tells that a job was here."""
    work = place.folder.parent
    if scope == "all":
        for suffix in (".owner", ".lock"):
            with suppress(OSError):  # a lock that is held can't go everywhere
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


def _notices(scope: Scope, unfinished: tuple[str, ...]) -> Iterator[str]:
    if unfinished and scope != "all":
        yield (
            f"not finished: {', '.join(unfinished)}; what a run goes on from is kept "
            "(--all frees it)"
        )
    elif unfinished:
        yield f"not finished: {', '.join(unfinished)}; a run begins anew"
    elif scope == "mattes":
        yield (
            "without mattes `render` makes no further files, `verify` compares no alpha, and "
            "another run mattes anew"
        )
    if scope == "all":
        yield "`verify` and `render` know nothing of the finished files any more"
