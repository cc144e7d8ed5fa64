"""Network files on this machine: located, fetched once, checked against the registry's digests.

Searched in this order:

1. the folder VRMATTE_MODELS_DIR: a file under the registry's name is accepted with any digest;
2. files imported as unverified, accepted with any digest;
3. the files installed together with vrmatte;
4. the cache;
5. the internet: the official address, or VRMATTE_MIRROR_URL/NAME. VRMATTE_OFFLINE=1 forbids this.

From 3 on, only the registered digest is accepted. A file with another digest is the user's choice
and always reported: `LocalWeights.notice` is the sentence to show.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from vrmatte.errors import WeightsError
from vrmatte.files import sha256_of
from vrmatte.models import registry
from vrmatte.models.download import open_url, save_verified, without_secrets, write_error
from vrmatte.models.registry import WeightsFile, find_by_digest, find_weights
from vrmatte.platform_support import cache_folder, replace_file
from vrmatte.progress import Advanced, Finished, Notice, Observer, Started, ignore

PACKAGED_DIR = Path(__file__).parent / "data"
_YES = ("1", "true", "yes", "on")

WeightsState = Literal["missing", "present", "verified", "unverified", "damaged"]


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
        """Message for the user before the file is used: it is not the registered one."""
        if self.verified:
            return None
        return (
            f"unverified weights: {self.path} has SHA-256 {self.sha256[:12]}…, "
            f"the registered {self.file.name} has {self.file.sha256[:12]}…"
        )


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """State of one registered file on this machine."""

    file: WeightsFile
    state: WeightsState
    """`present` if the digest was not checked."""
    path: Path | None
    """None: it is missing."""


def cache_dir() -> Path:
    """Return the folder of fetched network files; it may not exist yet."""
    return cache_folder() / "models"


def locate_weights(name: str) -> LocalWeights | None:
    """Find a network file on this machine, without fetching anything.

    Raises:
        ConfigError: the registry has no such name.
        WeightsError: VRMATTE_MODELS_DIR is not a folder, or a file can't be read.
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

    Several processes may do so at once: one fetches, the others wait for it.

    Raises:
        ConfigError: the registry has no such name.
        WeightsError: the file is missing and can't be fetched, or the fetched one is wrong.
        DiskFullError: no space left for the cache.
    """
    file = find_weights(name)
    local = locate_weights(name)
    if local is not None:
        return local
    if file.is_packaged:
        raise WeightsError(
            f"{name} is part of vrmatte, but missing or damaged in {PACKAGED_DIR}: "
            "reinstall vrmatte"
        )
    if os.environ.get("VRMATTE_OFFLINE", "").lower() in _YES:
        raise WeightsError(
            f"{name} is not on this machine and VRMATTE_OFFLINE forbids fetching it: get "
            f"{_shown_address(file)} on another machine and run `vrmatte models import {name}`"
        )
    target = cache_dir() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _download_lock(target, observer):
            local = locate_weights(name)
            if local is not None:
                return local
            _set_damaged_aside(target)
            _fetch(file, target, observer)
    except OSError as error:
        raise write_error(error, target) from error
    return LocalWeights(target, file, file.sha256, verified=True)


def import_weights(path: Path, *, allow_unverified: bool = False) -> LocalWeights:
    """Copy a network file of the user into the cache.

    The digest identifies it, whatever its name. A file that has only the name of a registered one
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
        with _download_lock(target, ignore), path.open("rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            save_verified(stream, target, origin=str(path), size_bytes=size_bytes, sha256=sha256)
        if verified:
            _unverified_path(file).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, target) from error
    return LocalWeights(target, file, sha256, verified)


def list_weights() -> tuple[WeightsStatus, ...]:
    """List the registered files and whether they are here; nothing is hashed or fetched."""
    rows: list[WeightsStatus] = []
    for file in registry.WEIGHTS:
        path = next((path for path, _ in _places(file) if _is_file(path)), None)
        rows.append(WeightsStatus(file, "missing" if path is None else "present", path))
    return tuple(rows)


def verify_weights() -> tuple[WeightsStatus, ...]:
    """Hash every registered file on this machine; nothing is fetched or changed.

    A file of which the only copy here has a wrong digest is `damaged`.
    """
    rows: list[WeightsStatus] = []
    for row in list_weights():
        local = locate_weights(row.file.name)
        if local is not None:
            state: WeightsState = "verified" if local.verified else "unverified"
            rows.append(WeightsStatus(row.file, state, local.path))
        elif row.path is not None:
            rows.append(WeightsStatus(row.file, "damaged", row.path))
        else:
            rows.append(row)
    return tuple(rows)


def _places(file: WeightsFile) -> list[tuple[Path, bool]]:
    """Return the paths to search in order, and for each whether the digest must be right."""
    places = [(_unverified_path(file), False)]
    folders = (PACKAGED_DIR, cache_dir()) if file.is_packaged else (cache_dir(),)
    places += [(folder / file.name, True) for folder in folders]
    folder = os.environ.get("VRMATTE_MODELS_DIR")
    if folder:
        if not Path(folder).is_dir():
            raise WeightsError(
                f"VRMATTE_MODELS_DIR is {folder}, which is not a folder: correct or unset it"
            )
        places.insert(0, (Path(folder) / file.name, False))
    return places


def _unverified_path(file: WeightsFile) -> Path:
    return cache_dir() / "unverified" / file.name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise WeightsError(f"can't access {path}: {error.strerror}. Fix its permissions") from error


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
    file = next((file for file in registry.WEIGHTS if file.name == path.name), None)
    if file is None:
        names = ", ".join(file.name for file in registry.WEIGHTS)
        raise WeightsError(f"{path} is not a network that vrmatte knows, which are {names}")
    if not allow_unverified:
        raise WeightsError(
            f"{path} has SHA-256 {sha256}, the registered {file.name} has {file.sha256}: it is "
            "damaged or another version. Get the registered file, or allow unverified weights"
        )
    return file


def _mirrored_url(file: WeightsFile) -> str | None:
    mirror = os.environ.get("VRMATTE_MIRROR_URL")
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(file.name)}" if mirror else None


def _shown_address(file: WeightsFile) -> str:
    return without_secrets(_mirrored_url(file) or file.url)


def _fetch(file: WeightsFile, target: Path, observer: Observer) -> None:
    origin = _shown_address(file)
    observer(
        Notice(
            f"fetching {file.name}, licence {file.licence} ({file.licence_url}), from {origin}",
            "info",
        )
    )
    mirrored_url = _mirrored_url(file)
    try:
        # Only an address that the user chose may be unencrypted.
        with open_url(mirrored_url or file.url, plain_allowed=mirrored_url is not None) as stream:
            observer(Started("download", file.size_bytes, file.name))
            save_verified(
                stream,
                target,
                origin=origin,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                on_bytes=lambda count: observer(Advanced("download", count)),
            )
    except WeightsError as error:
        raise WeightsError(
            f"{error}; or get {file.name} on another machine and run "
            f"`vrmatte models import {file.name}`"
        ) from error
    observer(Finished("download"))


def _set_damaged_aside(target: Path) -> None:
    """Rename a wrong file to NAME.rejected, and delete parts of killed downloads; lock held."""
    if target.exists():
        replace_file(target, target.with_name(f"{target.name}.rejected"))


@contextmanager
def _download_lock(target: Path, observer: Observer) -> Generator[None]:
    """Hold the file's lock, which the system releases if the process dies."""
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
