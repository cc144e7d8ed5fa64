"""Opening of media files through FFmpeg: local files only, with vrmatte's errors and limits."""

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
"""Limit of a stream: 24 hours at 60 fps, or 12 at 120. The times of so many frames take 40 MB."""

MOST_TRACKS = 256


WRITING_ERRORS = (OSError, av.error.FFmpegError)
"""Exceptions that FFmpeg raises while it writes a file."""


_READ_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,mxf,mxf_opatom,asf,asf_o,flv,nut"
"""Demuxers that read a single file. Playlists, image patterns and scripts refer to other files, so
they are excluded, whatever a file's name or content looks like."""


def file_url(path: Path) -> str:
    """Return a URL that FFmpeg can only read as a local file, whatever characters it contains."""
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
            f"{path}: not a supported video file, or its header is broken; accepted are MP4, MOV, "
            "Matroska, WebM, MPEG-TS, AVI, MXF, ASF, FLV and NUT"
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
    """Convert an error of FFmpeg while writing `path`; some of them are no OSError."""
    if isinstance(error, OSError):
        return output_error(error, path)
    reason = error.strerror or str(error)
    return OutputError(
        f"can't write {path}: {reason}. Choose another --out or other output settings"
    )
