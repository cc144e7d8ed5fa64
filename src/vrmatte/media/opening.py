"""The one place where files are opened through FFmpeg: never as a URL, errors in our own words."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import av
import av.container
import av.error

from vrmatte.errors import DamagedInputError, InputError, OutputError, VrmatteError, output_error

LARGEST_SIDE_PX = 16384

LONGEST_SECONDS = 24 * 3600

MOST_FRAMES = LONGEST_SECONDS * 60
"""Of one stream: 24 hours at 60 a second, 12 hours at 120. Times of as many take 40 MB."""

MOST_TRACKS = 256


WRITING_ERRORS = (OSError, av.error.FFmpegError)
"""What FFmpeg may raise while it writes a file."""


_READ_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,mxf,mxf_opatom,asf,asf_o,flv,nut"
"""Demuxers that read one plain file. Playlists, image patterns and scripts name further files, so
they aren't even begun with, whatever a file's name or content looks like."""


def file_url(path: Path) -> str:
    """A name FFmpeg can only read as a local file, whatever characters are in it."""
    return f"file:{path.absolute()}"


@contextmanager
def open_input(path: Path) -> Generator[av.container.InputContainer]:
    """Open a media file for reading, local files only.

    Raises:
        InputError: missing, unreadable, or not a media file.
        DamagedInputError: the file ends before its index, or its structure is broken.
    """
    try:
        container = av.open(
            file_url(path),
            options={"protocol_whitelist": "file", "format_whitelist": _READ_FORMATS},
        )
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file. Check the path of the source video") from error
    except av.error.ArgumentError as error:
        raise InputError(
            f"{path}: is not a video file this program reads, or its header is broken; accepted "
            "are MP4, MOV, Matroska, WebM, MPEG-TS, AVI, MXF, ASF, FLV and NUT"
        ) from error
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise DamagedInputError(
            f"{path}: not a video, or cut off before its index was written (an interrupted copy or "
            "recording). Copy it again, or repair it with a tool such as untrunc"
        ) from error
    except (OSError, ValueError, av.error.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: can't be opened: {reason}") from error
    with container:
        yield container


def writing_error(error: OSError | av.error.FFmpegError, path: Path) -> VrmatteError:
    """Name what went wrong while FFmpeg wrote `path`; some of its errors are no OSError."""
    if isinstance(error, OSError):
        return output_error(error, path)
    reason = error.strerror or str(error)
    return OutputError(
        f"can't write {path}: {reason}. Choose another --out or other output settings"
    )
