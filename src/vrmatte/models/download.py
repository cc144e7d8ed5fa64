"""One file fetched from an address: whole and proven, or not at all."""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

from vrmatte.errors import DiskFullError, VrmatteError, WeightsError
from vrmatte.platform_support import remove_file, replace_file

_TIMEOUT_SECONDS = 10.0
"""For connecting, and for each wait for more bytes."""
_BLOCK_BYTES = 1 << 18


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted address to a plain one."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows a redirect."""
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise WeightsError(
                f"won't fetch {without_secrets(req.full_url)}: it redirects to the unencrypted "
                f"{without_secrets(newurl)}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def without_secrets(url: str) -> str:
    """The address as it may be shown: without user name, password and query."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def open_url(url: str, *, plain_allowed: bool = False, accept: str = "*/*") -> BinaryIO:
    """Open an address for reading; a login written in it is sent to that host alone.

    Args:
        url: https, or with `plain_allowed` also http and file.
        plain_allowed: the user named this address, so an unencrypted one is the user's choice.
        accept: media types asked for.

    Raises:
        WeightsError: the scheme isn't allowed, or the address can't be opened.
    """
    parts = urllib.parse.urlsplit(url)
    allowed = ("https", "http", "file") if plain_allowed else ("https",)
    if parts.scheme not in allowed:
        raise WeightsError(
            f"won't fetch {without_secrets(url)}: the address must begin with "
            f"{' or '.join(f'{scheme}://' for scheme in allowed)}"
        )
    login, _, host = parts.netloc.rpartition("@")
    bare_url = urllib.parse.urlunsplit(parts._replace(netloc=host))
    request = urllib.request.Request(bare_url, headers={"Accept": accept, "User-Agent": "vrmatte"})
    if login:
        token = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        response: Any = urllib.request.build_opener(_NoDowngrade()).open(
            request, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise WeightsError(
            f"can't fetch {without_secrets(url)}: {_reason(error)}. Check the network and try again"
        ) from error
    return response


def save_verified(
    stream: BinaryIO,
    target: Path,
    *,
    origin: str,
    size_bytes: int,
    sha256: str,
    on_bytes: Callable[[int], None] = lambda _count: None,
) -> None:
    """Copy a stream into a file that appears under its name only when size and digest are right.

    Args:
        stream: read to its end, or to one byte more than `size_bytes`.
        target: replaced in one step; its folder exists.
        origin: where the bytes come from, for error texts.
        size_bytes: the exact size.
        sha256: of the whole, hexadecimal in lower case.
        on_bytes: told the bytes copied so far.

    Raises:
        WeightsError: the stream broke off, has another size or digest, or can't be written.
        DiskFullError: no space left.
    """
    try:
        descriptor, name = tempfile.mkstemp(".part", f"{target.name}.", target.parent)
    except OSError as error:
        raise write_error(error, target) from error
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            _copy_verified(stream, sink, origin, size_bytes, sha256, on_bytes)
            sink.flush()
            os.fsync(sink.fileno())
        part.chmod(0o644)
        replace_file(part, target)
    except OSError as error:
        raise write_error(error, target) from error
    finally:
        remove_file(part)


def write_error(error: OSError, path: Path) -> VrmatteError:
    """Name an operating-system error met while writing `path` in the user's words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"disk full while writing {path}: free some space and try again")
    return WeightsError(
        f"can't write {path}: {_reason(error)}. Fix its permissions, or put the file into a folder "
        "of your own and set VRMATTE_MODELS_DIR to it"
    )


def _copy_verified(
    stream: BinaryIO,
    sink: BinaryIO,
    origin: str,
    size_bytes: int,
    sha256: str,
    on_bytes: Callable[[int], None],
) -> None:
    digest = hashlib.sha256()
    copied_bytes = 0
    while copied_bytes <= size_bytes:
        try:
            # One byte past the promised size is enough to know that there is more.
            block = stream.read(min(_BLOCK_BYTES, size_bytes + 1 - copied_bytes))
        except (OSError, http.client.HTTPException) as error:
            raise WeightsError(f"{origin} broke off: {_reason(error)}. Try again") from error
        if not block:
            break
        sink.write(block)
        digest.update(block)
        copied_bytes += len(block)
        on_bytes(min(copied_bytes, size_bytes))
    if copied_bytes != size_bytes:
        found = f"only {copied_bytes}" if copied_bytes < size_bytes else "more"
        raise WeightsError(f"{origin} has {found} of {size_bytes} bytes; nothing was kept")
    if digest.hexdigest() != sha256:
        raise WeightsError(
            f"{origin} has SHA-256 {digest.hexdigest()}, expected {sha256}; nothing was kept"
        )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _reason(error.reason)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
