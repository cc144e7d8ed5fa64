"""Checks, before any work, that a run can write its files and overwrites no others.

A run replaces only files that its job has written and that are unchanged since. Anything else in
their place is refused: another video's file, a file of the user, an edited file, and a file of
another time range. `output.overwrite` allows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vrmatte.deliverables.decide import Deliverable
from vrmatte.errors import ConfigError, OutputError, VrmatteError, output_error
from vrmatte.files import draft_path, free_name, sha256_of
from vrmatte.jobs.manifest import Manifest, Product
from vrmatte.media.opening import open_input
from vrmatte.media.sequences.sequence import read_listing
from vrmatte.media.sequences.sequence_folder import LISTING
from vrmatte.plan import Plan
from vrmatte.platform_support import name_length, replace_file

_LONGEST_NAME = 255
"""Bytes on Linux and macOS, UTF-16 units on Windows."""
_UNKNOWN = "unknown"
_ALLOWED = "move it away, choose another --out, or allow it with --overwrite"


def guard_outputs(
    plan: Plan, manifest: Manifest, output: Path, reports: Mapping[str, Path]
) -> tuple[str, ...]:
    """Refuse a run that could not write its files, or would overwrite others.

    A file of this job that has become shorter is renamed, if it can still be opened.

    Args:
        plan: of the run.
        manifest: of the job, which knows the files of earlier runs.
        output: directory of the files.
        reports: paths of the report and its page, by the fact that records each.

    Returns:
        Notices about renamed files.

    Raises:
        ConfigError: a name is too long, or belongs to another file of this job.
        OutputError: a file that this job has not written is in the place of one to write.
    """
    _refuse_long_names(plan, output, reports.values())
    _refuse_taken_names(plan, manifest)
    if plan.config.output.overwrite:
        return ()
    promised = manifest.fact("promised")
    known = promised if isinstance(promised, dict) else {}
    notices: list[str] = []
    for deliverable in plan.deliverables:
        target = output / deliverable.file_name
        if os.path.lexists(target):
            notices += _refuse_foreign(plan, manifest, deliverable, target)
        elif deliverable.id not in known and os.path.lexists(draft_path(target)):
            raise OutputError(f"{draft_path(target)}: was not written by this job; {_ALLOWED}")
    for fact, path in reports.items():
        if os.path.lexists(path):
            written = manifest.fact(fact)
            if written is None and manifest.fact("earlier_files") == _UNKNOWN:
                notices.append(_renamed(path, "unknown", "may not be the report of this job"))
            else:
                _refuse_foreign_report(path, written, has_run_before=bool(known))
    return tuple(notices)


def remember_earlier_files(manifest: Manifest, earlier: Path, output: Path) -> None:
    """Record the files of a job that `--fresh` has set aside, so that they may be replaced.

    Args:
        manifest: of the new job.
        earlier: folder of the earlier one. If its manifest can't be read, the files of the names
            that a run writes are renamed.
        output: directory of the files.
    """
    if not (earlier / "manifest.sqlite").is_file():
        return
    files: dict[str, object] = {}
    try:
        old = Manifest(earlier, output)
    except OutputError:
        manifest.set_fact("earlier_files", _UNKNOWN)
        return
    with old:
        for product in old.products():
            time_ns = old.fact(f"time_ns:{product.name}")
            files[str(product.path.relative_to(output))] = {
                "time_ns": time_ns,
                "sha256": product.sha256,
            }
        for fact in ("written:report", "written:page"):
            manifest.set_fact(fact, old.fact(fact))
    manifest.set_fact("earlier_files", files)


def written_file(path: Path) -> dict[str, object]:
    """Return what `guard_outputs` needs to recognise a file that was just written."""
    return {"time_ns": path.stat().st_mtime_ns, "sha256": sha256_of(path)}


def _refuse_foreign_report(path: Path, written: object, *, has_run_before: bool) -> None:
    if written is None and not has_run_before:
        raise OutputError(f"{path}: was not written by this job; {_ALLOWED}")
    if written is not None and not _is_as_written(path, written):
        raise OutputError(f"{path}: was changed after vrmatte wrote it; {_ALLOWED}")


def _refuse_foreign(
    plan: Plan, manifest: Manifest, deliverable: Deliverable, target: Path
) -> Iterator[str]:
    product = manifest.product(deliverable.id)
    if product is None or product.shown_path != target:
        if _is_unrecorded(manifest, deliverable, target):
            return
        if not _was_promised(manifest, deliverable):
            raise OutputError(f"{target}: was not written by this job; {_ALLOWED}")
        if deliverable.sequence is None:  # publishing a folder keeps unknown files by itself
            yield _renamed(target, "unknown", "is not the file that this job wrote")
        return
    if _is_damaged(product):
        if not product.is_sequence and _is_video(target):
            yield _renamed(target, "shortened", "is shorter than it was written")
        return
    if not _is_unchanged(product, manifest.fact(f"time_ns:{product.name}")):
        raise OutputError(f"{target}: was changed after vrmatte wrote it; {_ALLOWED}")
    earlier = manifest.fact(f"config:{deliverable.id}")
    limits = earlier.get("input") if isinstance(earlier, dict) else None
    if isinstance(limits, dict):
        wanted = plan.config.input
        before = limits.get("start"), limits.get("end")
        if before != (wanted.start, wanted.end):
            raise OutputError(
                f"{target}: shows {_range(*before)}, this run is to show "
                f"{_range(wanted.start, wanted.end)}; {_ALLOWED}"
            )


def _is_unrecorded(manifest: Manifest, deliverable: Deliverable, target: Path) -> bool:
    """Return True for a file written by a killed run, or by a run before `--fresh`."""
    path = target / LISTING if target.is_dir() else target
    if _is_as_written(path, manifest.fact(f"pending:{deliverable.id}")):
        return True
    earlier = manifest.fact("earlier_files")
    name = str(path.relative_to(target.parent))
    return isinstance(earlier, dict) and _is_as_written(path, earlier.get(name))


def _was_promised(manifest: Manifest, deliverable: Deliverable) -> bool:
    """Return True if an earlier run planned a file of this name."""
    if manifest.fact("earlier_files") == _UNKNOWN:
        return True
    promised = manifest.fact("promised")
    named = manifest.fact(f"file_name:{deliverable.id}")
    is_known = isinstance(promised, dict) and deliverable.id in promised
    return is_known and named == deliverable.file_name


def _renamed(path: Path, word: str, reason: str) -> str:
    """Rename a file so that nothing replaces it; return a notice."""
    aside = free_name(path, word)
    try:
        replace_file(path, aside)
    except OSError as error:
        raise output_error(error, path) from error
    return f"{path}: {reason}, and was renamed to {aside.name}"


def _range(start: object, end: object) -> str:
    if start is None and end is None:
        return "the whole video"
    return f"{start or 0} s to {'the end' if end is None else f'{end} s'}"


def _is_damaged(product: Product) -> bool:
    """Return True if a file, or an image of a folder, is truncated or missing."""
    if not product.is_sequence:
        return product.path.is_file() and product.path.stat().st_size < product.bytes
    folder = product.path.parent
    if not product.path.is_file() or product.path.stat().st_size < product.bytes:
        return True
    frames = read_listing(product.path)[1] if _is_listing(product) else ()
    paths = ((folder / frame.file, frame.bytes) for frame in frames)
    return any(not path.is_file() or path.stat().st_size < size for path, size in paths)


def _is_listing(product: Product) -> bool:
    return sha256_of(product.path) == product.sha256


def _is_video(path: Path) -> bool:
    """Return True if a file can be opened; files cut by a power failure seldom can."""
    try:
        with open_input(path) as container:
            return bool(container.streams.video)
    except VrmatteError:
        return False


def _is_unchanged(product: Product, time_ns: object) -> bool:
    """Return True if a file, or every image of a folder, is as the job wrote it."""
    if not _is_as_written(product.path, {"time_ns": time_ns, "sha256": product.sha256}):
        return False
    if not product.is_sequence:
        return True
    folder, listed_ns = product.path.parent, product.path.stat().st_mtime_ns
    for frame in read_listing(product.path)[1]:
        path = folder / frame.file
        if not path.is_file() or path.stat().st_size != frame.bytes:
            return False
        if path.stat().st_mtime_ns > listed_ns and sha256_of(path) != frame.sha256:
            return False
    return True


def _is_as_written(path: Path, written: object) -> bool:
    """Compare digests; a file last modified at `time_ns` is not read."""
    if not isinstance(written, dict) or not path.is_file():
        return False
    if path.stat().st_mtime_ns == written.get("time_ns"):
        return True
    return sha256_of(path) == written.get("sha256")


def _refuse_taken_names(plan: Plan, manifest: Manifest) -> None:
    """Refuse names of files of an earlier run, which `verify` still expects."""
    planned = {d.id for d in plan.deliverables}
    taken = {p.shown_path.name.casefold(): p for p in manifest.products() if p.name not in planned}
    for deliverable in plan.deliverables:
        other = taken.get(deliverable.file_name.casefold())
        if other is not None and other.path.exists():
            raise ConfigError(
                f"output.name_template = {plan.config.output.name_template!r} gives "
                f"{deliverable.id} the name of {other.shown_path}, the {other.name} of an earlier "
                "run; add {kind} or {eye}, or move that file away"
            )


def _refuse_long_names(plan: Plan, output: Path, reports: Iterable[Path]) -> None:
    names = [path.name for path in reports]
    for deliverable in plan.deliverables:
        names.append(deliverable.file_name)
        if deliverable.sequence is not None:
            names.append(deliverable.sequence.file_name(plan.chunks[-1].last))
    for name in names:
        length = name_length(draft_path(output / name).name)
        if length > _LONGEST_NAME:
            raise ConfigError(
                f"{plan.source.path}: its name is too long: {name} takes {length} bytes while it "
                f"is written, and file systems store {_LONGEST_NAME}. Shorten the video's name, or "
                "set output.name_template"
            )
