"""`vrmatte verify DIR`: checks everything an output directory holds, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vrmatte.config import Config
from vrmatte.errors import InputError, OutputError, VrmatteError
from vrmatte.jobs.finish import verify_file
from vrmatte.jobs.store import Manifest
from vrmatte.jobs.workplace import Workplace, job_stems, open_workplace
from vrmatte.matting.choose import choose_engine
from vrmatte.media.encode import sha256_of
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint, scan_timeline
from vrmatte.plan import WHOLE_EYES, Plan, make_plan
from vrmatte.progress import Observer, ignore


@dataclass(frozen=True, slots=True)
class CheckedPiece:
    """One thing that was checked."""

    job: str
    name: str
    """A finished file's name, or "chunks"."""
    problem: str | None
    """What is wrong; None: nothing."""


def verify_output(output: Path | str, observer: Observer = ignore) -> list[CheckedPiece]:
    """Recheck every chunk and finished file of `output` against manifest and source.

    Raises:
        InputError: the directory holds no vrmatte job, or the source is gone.
        OutputLockedError: a run is working there.
    """
    output = Path(output)
    stems = job_stems(output)
    if not stems:
        raise InputError(f"{output}: holds no vrmatte job; accepted is the --out of an earlier run")
    checked: list[CheckedPiece] = []
    for stem in stems:
        with (
            open_workplace(output, stem, fresh=False) as place,
            Manifest(place.folder, output) as manifest,
        ):
            checked += _check_chunks(stem, manifest)
            checked += _check_products(stem, place, manifest, observer)
    return checked


def _check_chunks(stem: str, manifest: Manifest) -> list[CheckedPiece]:
    broken = manifest.broken_pieces()
    if not broken:
        return [CheckedPiece(stem, "chunks", None)]
    return [
        CheckedPiece(
            stem, file, "is missing or differs from its digest; `vrmatte run` makes it anew"
        )
        for _, _, file in broken
    ]


def _check_products(
    stem: str, place: Workplace, manifest: Manifest, observer: Observer
) -> list[CheckedPiece]:
    plan = _stored_plan(manifest, observer)
    promised = manifest.fact("promised")
    assert isinstance(promised, dict)
    checked: list[CheckedPiece] = []
    for deliverable in plan.deliverables:
        product = manifest.product(deliverable.name)
        problem: str | None = None
        if product is None or product.key != promised.get(deliverable.name):
            problem = "was not finished; run the same command again"
        elif not product.path.is_file():
            problem = "is gone; run the same command again"
        elif product.path.stat().st_size != product.bytes or (
            sha256_of(product.path) != product.sha256
        ):
            problem = "was changed after it was finished"
        else:
            carried = product.checks.get("carried_streams", [])
            assert isinstance(carried, list)
            try:
                verify_file(plan, place, deliverable, product.path, carried, observer)
            except VrmatteError as error:
                problem = str(error)
        checked.append(CheckedPiece(stem, deliverable.file_name, problem))
    return checked


def _stored_plan(manifest: Manifest, observer: Observer) -> Plan:
    """The plan of the last run, laid out again from what the manifest remembers."""
    video, settings = manifest.fact("video"), manifest.fact("config")
    if not isinstance(video, str) or settings is None:
        raise OutputError("the manifest remembers no run; run `vrmatte run` first")
    path, config = Path(video), Config.model_validate(settings)
    identity = fingerprint(path)
    if identity != manifest.fact("input"):
        raise InputError(f"{path}: is another video than the one this output was made from")
    source = probe(path, layout=config.input.layout, projection=config.input.projection)
    chunk_frames = manifest.fact("chunk_frames")
    return make_plan(
        source,
        identity,
        scan_timeline(source, observer),
        WHOLE_EYES,
        choose_engine(config, observer),
        config,
        chunk_frames if isinstance(chunk_frames, int) else None,
    )
