"""One file fetched from an address: complete and verified, or not at all."""

from __future__ import annotations

import base64
import errno
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO

from vrmatte.errors import DiskFullError, VrmatteError, WeightsError
from vrmatte.files import write_atomically

_TIMEOUT_SECONDS = 10.0
"""For connecting, and for each wait for more bytes."""
_BLOCK_BYTES = 1 << 18


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Handler that follows redirects, but never from an encrypted address to a plain one."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirect."""
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise WeightsError(
                f"won't fetch {without_secrets(req.full_url)}: it redirects to the unencrypted "
                f"{without_secrets(newurl)}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def without_secrets(url: str) -> str:
    """Return an address fit to be shown: without user name, password and query."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


def open_url(url: str, *, plain_allowed: bool = False) -> BinaryIO:
    """Open an address for reading; a login in it is sent to that host alone.

    Args:
        url: https, or with `plain_allowed` also http and file.
        plain_allowed: the user named this address, so an unencrypted one is the user's choice.

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
    request = urllib.request.Request(bare_url, headers={"User-Agent": "vrmatte"})
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
            f"can't fetch {without_secrets(url)}: {_reason(error)}. "
            "Check the connection and try again"
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
    """Copy a stream into a file that gets its name only when size and digest are right.

    Args:
        stream: read to its end, or to one byte more than `size_bytes`.
        target: replaced in one step; its folder exists.
        origin: the source of the bytes, for error texts.
        size_bytes: the exact size.
        sha256: digest of all bytes, hexadecimal in lower case.
        on_bytes: called with the number of bytes copied so far.

    Raises:
        WeightsError: the stream ended early, has another size or digest, or can't be written.
        DiskFullError: no space left.
    """
    with write_atomically(target, write_error) as draft, draft.open("wb") as sink:
        _copy_verified(stream, sink, origin, size_bytes, sha256, on_bytes)


def write_error(error: OSError, path: Path) -> VrmatteError:
    """Return the error to raise for an operating-system error while writing `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"disk full while writing {path}: free some space and try again")
    return WeightsError(
        f"can't write {path}: {_reason(error)}. Fix its permissions, or put the file into another "
        "folder and set VRMATTE_MODELS_DIR to it"
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
            # One byte past the expected size is enough to know that there is more.
            block = stream.read(min(_BLOCK_BYTES, size_bytes + 1 - copied_bytes))
        except (OSError, http.client.HTTPException) as error:
            raise WeightsError(f"{origin} ended early: {_reason(error)}. Try again") from error
        if not block:
            break
        sink.write(block)
        digest.update(block)
        copied_bytes += len(block)
        on_bytes(min(copied_bytes, size_bytes))
    if copied_bytes != size_bytes:
        excess = f"only {copied_bytes} of" if copied_bytes < size_bytes else "more than"
        raise WeightsError(f"{origin} has {excess} {size_bytes} bytes; nothing was kept")
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
