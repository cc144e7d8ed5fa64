"""Turn finished chunks into finished files: join, verify, rename, record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from vrmatte.deliverables.decide import Deliverable
from vrmatte.errors import OutputError
from vrmatte.files import commit_file, draft_path, sha256_of
from vrmatte.jobs.alpha_check import alpha_check
from vrmatte.jobs.job_folder import JobFolder
from vrmatte.jobs.manifest import Manifest, Product
from vrmatte.jobs.stopping import Stop, never, remove_if_stopped, stop_if_asked
from vrmatte.media.containers.copied_streams import CopiedStreams
from vrmatte.media.containers.spherical import inject_boxes
from vrmatte.media.join import JoinRequest, join_chunks
from vrmatte.media.sequences.sequence import drop_frames
from vrmatte.media.sequences.sequence_folder import (
    LISTING,
    gather_sequence,
    publish_sequence,
    verify_sequence,
)
from vrmatte.media.verify import verify_copies, verify_frames
from vrmatte.outputs import piece_name
from vrmatte.plan import Plan, deliverable_parameters, key_of
from vrmatte.progress import Notice, Observer


def finish_deliverables(
    plan: Plan,
    job: JobFolder,
    manifest: Manifest,
    matte_keys: Sequence[str],
    observer: Observer,
    stop: Stop = never,
    skipped: Collection[str] = (),
    check_source: Callable[[], None] = lambda: None,
) -> tuple[Product, ...]:
    """Join and verify every deliverable that is not finished yet; return all finished ones.

    Args:
        plan: of the run.
        job: folders of the run.
        manifest: records the finished files.
        matte_keys: identity of each chunk's matte.
        observer: receives progress and notices.
        stop: asked before each file.
        skipped: ids of deliverables that lack chunks, which are not finished.
        check_source: raises an error if the video is not the one that was planned for; called
            before each file is joined, and before it gets its name.

    Raises:
        VerificationError: a file fails verification; it stays as `.part`.
        OutputError, DiskFullError: a file can't be written.
        StoppedError: `stop` returned true.
    """
    products: list[Product] = []
    for deliverable in plan.deliverables:
        key = product_key(plan, deliverable, matte_keys)
        product = manifest.product(deliverable.id)
        if product is None or product.key != key or not product.is_in_place:
            if deliverable.id in skipped:
                continue
            files = f"{len(products)} of {len(plan.deliverables)} files finished"
            stop_if_asked(stop, f"all chunks are made, {files}")
            check_source()

            def before_naming(sha256: str, name: str = f"pending:{deliverable.id}") -> None:
                check_source()  # audio was copied from it
                # A run killed between the file's name and its record finds it by this.
                manifest.set_fact(name, {"sha256": sha256})

            chunks = _chunk_files(plan, deliverable, manifest, matte_keys)
            finish = _finish_video if deliverable.sequence is None else _finish_sequence
            with remove_if_stopped(job.output / f"{deliverable.file_name}.part"):
                product = finish(plan, job, deliverable, chunks, key, observer, before_naming)
            first = deliverable_parameters(plan, deliverable, matte_keys[0])
            manifest.commit_product(product, first)
        if not deliverable.is_matte_store and not plan.config.performance.preserve_intermediates:
            if deliverable.sequence is not None:
                for listing in manifest.pieces(piece_name(deliverable)):
                    drop_frames(listing)
            manifest.drop_pieces(piece_name(deliverable))
        products.append(product)
    return tuple(products)


def product_key(plan: Plan, deliverable: Deliverable, matte_keys: Sequence[str]) -> str:
    """Return the identity of a finished file: a digest of its chunks, streams and boxes."""
    return key_of(
        {
            "file": deliverable.file_name,
            "streams": plan.config.audio.preserve_audio and deliverable.kind.carries_streams,
            **_exact_rate(plan),
            **({"boxes": "apple"} if _wants_apple_boxes(plan, deliverable) else {}),
            "chunks": [key_of(deliverable_parameters(plan, deliverable, k)) for k in matte_keys],
        }
    )


def _exact_rate(plan: Plan) -> dict[str, str]:
    base = plan.promised.time_base
    return {} if base == plan.timeline.time_base else {"time_base": str(base)}


def _chunk_files(
    plan: Plan, deliverable: Deliverable, manifest: Manifest, matte_keys: Sequence[str]
) -> list[Path]:
    files: list[Path] = []
    for chunk, matte_key in zip(plan.chunks, matte_keys, strict=True):
        if deliverable.is_matte_store:
            path = manifest.piece(chunk.index, "matte", matte_key)
        else:
            key = key_of(deliverable_parameters(plan, deliverable, matte_key))
            path = manifest.piece(chunk.index, piece_name(deliverable), key)
        if path is None:
            raise OutputError(
                f"{deliverable.file_name}: chunk {chunk.index} is missing; run the same "
                "command again"
            )
        files.append(path)
    return files


def _finish_video(
    plan: Plan,
    job: JobFolder,
    deliverable: Deliverable,
    chunks: Sequence[Path],
    key: str,
    observer: Observer,
    before_naming: Callable[[str], None],
) -> Product:
    target = job.output / deliverable.file_name
    part = draft_path(target)
    request = JoinRequest(
        chunks=chunks,
        timeline=plan.promised,
        target=part,
        container=deliverable.container,
        rate=plan.rate,
        source=plan.source.path,
        carry=_copied_streams(plan) if deliverable.kind.carries_streams else (),
        window=plan.window,
    )
    copied = join_chunks(request, observer)
    for text in _lost_streams(plan, copied, deliverable):
        observer(Notice(f"{target.name} {text}"))
    if deliverable.takes_boxes:
        eyes = "side_by_side" if deliverable.eye is None else "mono"
        inject_boxes(part, eyes, apple=plan.config.output.apple_boxes)
    checks = verify_file(plan, job, deliverable, part, copied.indices, observer)
    file = commit_file(part, target, len(plan.selected), before_naming)
    return Product(deliverable.id, key, target, file.bytes, file.sha256, checks)


def _finish_sequence(
    plan: Plan,
    job: JobFolder,
    deliverable: Deliverable,
    chunks: Sequence[Path],
    key: str,
    observer: Observer,
    before_naming: Callable[[str], None],
) -> Product:
    spec = deliverable.sequence
    assert spec is not None
    target = job.output / deliverable.file_name
    part = gather_sequence(chunks, target, spec, plan.selected, observer)
    checks = verify_file(plan, job, deliverable, part, (), observer)
    checks["bytes"] = sum(path.stat().st_size for path in part.iterdir())
    before_naming(sha256_of(part / LISTING))
    listing = publish_sequence(part, target)
    return Product(deliverable.id, key, listing.path, listing.bytes, listing.sha256, checks)


def _wants_apple_boxes(plan: Plan, deliverable: Deliverable) -> bool:
    return plan.config.output.apple_boxes and deliverable.takes_boxes


def _copied_streams(plan: Plan) -> tuple[int, ...]:
    if not plan.config.audio.preserve_audio:
        return ()
    return tuple(s.index for s in plan.source.streams if s.kind != "video")


def _lost_streams(plan: Plan, copied: CopiedStreams, deliverable: Deliverable) -> Iterator[str]:
    """Describe the streams of the source that the file does not contain."""
    for stream in copied.dropped:
        yield (
            f"does not contain source stream {stream.stream_index}, {stream.description}: "
            f"{stream.reason}; it is still in the source"
        )
    if plan.config.audio.preserve_audio and deliverable.kind.carries_streams:
        for stream in plan.source.streams:
            if stream.kind == "video":
                yield (
                    f"does not contain source stream {stream.index}, video ({stream.codec}): only "
                    "the main video stream is processed; it is still in the source"
                )
    if copied.left_out_before is not None:
        yield (
            "does not contain audio that the source hides more than "
            f"{-float(copied.left_out_before):.2f} s before the start: Matroska can't hold times "
            "so early"
        )


def verify_file(
    plan: Plan,
    job: JobFolder | None,
    deliverable: Deliverable,
    path: Path,
    copied: Sequence[int],
    observer: Observer,
) -> dict[str, object]:
    """Check a finished file against plan, source and matte store; return the results.

    Args:
        plan: of the file's run.
        job: folder of the mattes it was made from; None: they are gone, and not compared.
        deliverable: of the file.
        path: of the file, or of the folder of an image sequence.
        copied: indices of the source's streams in the file.
        observer: receives progress.

    Raises:
        VerificationError: something differs.
    """
    checks: dict[str, object] = {"carried_streams": list(copied)}
    if not plan.config.debugging.frame_count_validation:
        return checks
    if deliverable.sequence is not None:
        first = plan.chunks[0].first
        spec = deliverable.sequence
        checks["frames"] = verify_sequence(path, spec, plan.selected, first, observer)
        checks["times"] = "equal to the source's"
        return checks
    alpha = None if job is None else alpha_check(plan, job, deliverable)
    checks["frames"] = verify_frames(
        path,
        plan.promised,
        deliverable.size,
        observer,
        alpha.look if alpha else None,
        has_alpha=deliverable.kind.has_alpha,
    )
    checks["times"] = "equal to the source's"
    if alpha:
        checks[alpha.name] = asdict(alpha.result())
    if plan.config.audio.verify_sync and copied:
        digests = verify_copies(path, plan.source.path, copied, plan.window)
        checks["streams"] = [asdict(d) for d in digests]
    return checks
