"""`vrmatte verify DIR`: check all chunks and files of an output directory, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vrmatte.deliverables.decide import Deliverable
from vrmatte.errors import InputError, OutputError, VrmatteError
from vrmatte.files import sha256_of
from vrmatte.jobs.failures import RETRY, Failures
from vrmatte.jobs.finish import product_key, verify_file
from vrmatte.jobs.job_folder import JobFolder, begun_jobs, open_job_folder
from vrmatte.jobs.manifest import EarlierRun, Manifest, earlier_run
from vrmatte.media.scan import content_identity, fingerprint, scan_timeline
from vrmatte.media.source import open_source
from vrmatte.outputs import piece_name
from vrmatte.plan import Plan, make_plan
from vrmatte.progress import Observer, ignore
from vrmatte.subjects import WHOLE_EYES


@dataclass(frozen=True, slots=True)
class CheckedPiece:
    """A file or chunk that was checked."""

    job: str
    name: str
    """Name of the file, or "chunks" for all chunks together."""
    problem: str | None
    """Reason why the check failed; None: it passed."""


def verify_output(output: Path | str, observer: Observer = ignore) -> list[CheckedPiece]:
    """Check every chunk and finished file of `output` against the manifest and the source.

    Raises:
        InputError: the directory holds no vrmatte job, or the source is gone.
        OutputLockedError: a run is writing there.

    Example:
        >>> [piece.name for piece in vrmatte.verify_output("out") if piece.problem]
        []
    """
    output = Path(output)
    checked: list[CheckedPiece] = []
    for stem in begun_jobs(output):
        with (
            open_job_folder(output, stem, fresh=False) as place,
            Manifest(place.folder, output) as manifest,
        ):
            checked += _check_chunks(stem, manifest)
            checked += _check_failures(stem, manifest)
            checked += _check_products(stem, place, manifest, observer)
    return checked


def _check_chunks(stem: str, manifest: Manifest) -> list[CheckedPiece]:
    broken = manifest.broken_pieces()
    if not broken:
        return [CheckedPiece(stem, "chunks", None)]
    return [
        CheckedPiece(
            stem, file, "is missing or differs from its digest; `vrmatte run` processes it again"
        )
        for _, _, file in broken
    ]


def _check_failures(stem: str, manifest: Manifest) -> list[CheckedPiece]:
    return [
        CheckedPiece(
            stem,
            failure.where,
            f"failed {failure.tries} times: {failure.error}; {RETRY} tries again",
        )
        for failure in Failures(manifest).all
    ]


def _check_products(
    stem: str, place: JobFolder, manifest: Manifest, observer: Observer
) -> list[CheckedPiece]:
    promised = manifest.fact("promised")
    if not isinstance(promised, dict):
        raise OutputError(f"{place.folder}: no run was planned; run `vrmatte run` first")
    plans: dict[str, Plan] = {}
    checked: list[CheckedPiece] = []
    for name, key in promised.items():
        run = earlier_run(manifest, name)
        settings = run.config.model_dump_json()
        if settings not in plans:
            plans[settings] = _stored_plan(manifest, run, observer)
        deliverable = next((d for d in plans[settings].deliverables if d.id == name), None)
        if deliverable is None:
            checked.append(CheckedPiece(stem, name, "is not among the files of its own settings"))
            continue
        problem = _problem(plans[settings], place, manifest, deliverable, key, observer)
        checked.append(CheckedPiece(stem, deliverable.file_name, problem))
    return checked


def _problem(
    plan: Plan,
    place: JobFolder,
    manifest: Manifest,
    deliverable: Deliverable,
    key: str,
    observer: Observer,
) -> str | None:
    """Return why a file fails the check; None: it passes."""
    product = manifest.product(deliverable.id)
    if product is None or product.key != key:
        needed = ("matte", piece_name(deliverable))
        chunks = {f.chunk for f in Failures(manifest).all if f.piece in needed}
        if chunks:
            return f"is missing: {', '.join(f'chunk {c}' for c in sorted(chunks))} failed"
        return "was not finished; run the same command again"
    if not product.path.is_file():
        return "is gone; run the same command again"
    if product.path.stat().st_size != product.bytes or sha256_of(product.path) != product.sha256:
        return "was changed after it was finished"
    carried = product.checks.get("carried_streams", [])
    streams = [stream.index for stream in plan.source.streams]
    if not isinstance(carried, list) or not all(index in streams for index in carried):
        return "lists copied streams that the source doesn't have; run the same command again"
    where = product.path if deliverable.sequence is None else product.path.parent
    try:
        mattes = place if _has_mattes(plan, manifest, deliverable, key) else None
        verify_file(plan, mattes, deliverable, where, carried, observer)
    except VrmatteError as error:
        return str(error)
    return None


def _has_mattes(plan: Plan, manifest: Manifest, deliverable: Deliverable, key: str) -> bool:
    """Return True if a file was made from the stored mattes; a later run may have replaced them."""
    stored = manifest.piece_keys("matte")
    keys = [stored.get(chunk.index, "") for chunk in plan.chunks]
    return product_key(plan, deliverable, keys) == key


def _stored_plan(manifest: Manifest, run: EarlierRun, observer: Observer) -> Plan:
    """Return the plan of a run, computed again from the manifest."""
    source = open_source(run.video, run.config.input)
    timeline = scan_timeline(source, observer, run.config.input.on_damage)
    identity = manifest.fact("input")
    # Earlier versions recorded the fingerprint alone.
    if identity not in (content_identity(run.video, timeline), fingerprint(run.video)):
        raise InputError(f"{run.video}: is not the video that the output was made from")
    chunk_frames = manifest.fact("chunk_frames")
    return make_plan(
        source,
        str(identity),
        timeline,
        WHOLE_EYES,
        run.engine,
        run.config,
        chunk_frames if isinstance(chunk_frames, int) and chunk_frames > 0 else None,
    )
