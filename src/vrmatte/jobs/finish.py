"""Turns finished chunks into finished files: join, verify, rename, record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from vrmatte.errors import OutputError
from vrmatte.jobs.packed_check import PackedCheck
from vrmatte.jobs.store import Manifest, Product
from vrmatte.jobs.workplace import Workplace
from vrmatte.media.carried import Carried
from vrmatte.media.encode import commit_file
from vrmatte.media.join import JoinRequest, join_chunks
from vrmatte.media.spherical import inject_half_equirect
from vrmatte.media.verify import verify_frames
from vrmatte.media.verify_copies import verify_copies
from vrmatte.pipeline import piece_name
from vrmatte.plan import Deliverable, Plan, deliverable_parameters, key_of
from vrmatte.progress import Notice, Observer


def finish_deliverables(
    plan: Plan,
    place: Workplace,
    manifest: Manifest,
    matte_keys: Sequence[str],
    observer: Observer,
) -> tuple[Product, ...]:
    """Join and verify every deliverable that is not finished yet; returns all of them.

    Raises:
        VerificationError: a file differs from what was promised; it stays as `.part`.
        OutputError, DiskFullError: a file can't be written.
    """
    products: list[Product] = []
    for deliverable in plan.deliverables:
        key = product_key(plan, deliverable, matte_keys)
        product = manifest.product(deliverable.name)
        if product is None or product.key != key or not product.is_in_place:
            chunks = _chunk_files(plan, deliverable, manifest, matte_keys)
            product = _finish(plan, place, deliverable, chunks, key, observer)
            first = deliverable_parameters(plan, deliverable, matte_keys[0])
            manifest.commit_product(product, first)
        if not deliverable.is_matte_store and not plan.config.performance.preserve_intermediates:
            manifest.drop_pieces(piece_name(deliverable))
        products.append(product)
    return tuple(products)


def product_key(plan: Plan, deliverable: Deliverable, matte_keys: Sequence[str]) -> str:
    """Identity of a finished file: its chunks and what is laid beside them."""
    return key_of(
        {
            "file": deliverable.file_name,
            "streams": plan.config.audio.preserve_audio,
            "chunks": [key_of(deliverable_parameters(plan, deliverable, k)) for k in matte_keys],
        }
    )


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
                f"{deliverable.file_name}: chunk {chunk.index} is gone; run the same command again"
            )
        files.append(path)
    return files


def _finish(
    plan: Plan,
    place: Workplace,
    deliverable: Deliverable,
    chunks: Sequence[Path],
    key: str,
    observer: Observer,
) -> Product:
    target = place.output / deliverable.file_name
    part = target.with_name(target.name + ".part")
    request = JoinRequest(
        chunks=chunks,
        timeline=plan.selected,
        target=part,
        container=deliverable.container,
        rate=plan.rate,
        source=plan.source.path,
        carry=_carried_streams(plan),
        window=plan.window,
    )
    carried = join_chunks(request, observer)
    for text in _losses(plan, carried, deliverable):
        observer(Notice(f"{target.name} {text}"))
    if deliverable.name != "alpha-packed" and deliverable.container == "mp4":
        inject_half_equirect(part)
    checks = verify_file(plan, place, deliverable, part, carried.indices, observer)
    file = commit_file(part, target, len(plan.selected))
    return Product(deliverable.name, key, target, file.bytes, file.sha256, checks)


def _carried_streams(plan: Plan) -> tuple[int, ...]:
    if not plan.config.audio.preserve_audio:
        return ()
    return tuple(s.index for s in plan.source.streams if s.kind != "video")


def _losses(plan: Plan, carried: Carried, deliverable: Deliverable) -> Iterator[str]:
    """What of the source's other streams the file is without."""
    for stream in carried.dropped:
        yield (
            f"does not carry source stream {stream.stream_index}, {stream.description}: "
            f"{stream.reason}; it is still in the source"
        )
    if plan.config.audio.preserve_audio:
        for stream in plan.source.streams:
            if stream.kind == "video":
                yield (
                    f"does not carry source stream {stream.index}, video ({stream.codec}): only "
                    "the main picture is processed; it is still in the source"
                )
    if carried.left_out_before is not None:
        yield (
            "leaves out sound that the source hides more than "
            f"{-float(carried.left_out_before):.2f} s before the start: Matroska can't hold times "
            "so early"
        )


def verify_file(
    plan: Plan,
    place: Workplace,
    deliverable: Deliverable,
    path: Path,
    carried: Sequence[int],
    observer: Observer,
) -> dict[str, object]:
    """Check a finished file against plan, source and matte store; returns what was found.

    Raises:
        VerificationError: something differs.
    """
    checks: dict[str, object] = {"carried_streams": list(carried)}
    size = (plan.source.width, plan.source.height)
    if plan.config.debugging.frame_count_validation:
        packed = PackedCheck(plan, place) if deliverable.name == "alpha-packed" else None
        look = packed.look if packed else None
        checks["frames"] = verify_frames(path, plan.promised, size, observer, look)
        checks["times"] = "equal to the source's"
        if packed:
            checks["packed_alpha"] = asdict(packed.result())
    if plan.config.audio.verify_sync and carried:
        digests = verify_copies(path, plan.source.path, carried, plan.window)
        checks["streams"] = [asdict(d) for d in digests]
    return checks
