"""Reading mattes from files: grey videos, videos with alpha, alpha-packed videos, PNG folders."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.video.frame import VideoFrame

from vrmatte.compose.alpha_packed import unpack_alpha
from vrmatte.errors import DamagedInputError, InputError
from vrmatte.frames import YUV420P, YUV420P10, ColorTags
from vrmatte.media.decode import decode_with_alpha
from vrmatte.media.naming import projection_from_name
from vrmatte.media.opening import open_input
from vrmatte.media.planes import plane_view, to_planar
from vrmatte.quality.truth.field_metrics import Alpha
from vrmatte.settings.choices import MatteKind
from vrmatte.threads import Prefetcher

_FULL_RANGE = 2
_DEFAULT_FOV_DEG = 190.0


def matte_count(path: Path) -> int | None:
    """Return the number of frames according to a file's header; None: unknown.

    Raises:
        InputError: the file is missing, or not a video.
    """
    if path.is_dir():
        return len(_pictures(path))
    with open_input(path) as container:
        if not container.streams.video:
            raise InputError(
                f"{path}: has no video stream; accepted are videos and folders of PNG files"
            )
        return container.streams.video[0].frames or None


def read_mattes(path: Path, kind: MatteKind = "auto") -> Generator[Alpha]:
    """Yield every matte of a file, shape (H, W), 0..1, in display order.

    Args:
        path: a video with straight alpha, a grey one (its luma is read, in the range it is tagged
            with), an alpha-packed one, or a folder of PNG files, sorted by name.
        kind: how the file stores its matte, where neither its name nor its frames show that.

    Raises:
        InputError: the file can't be read, or holds no matte.
        DamagedInputError: the file can't be decoded to its end.
    """
    if path.is_dir():
        for picture in _pictures(path):
            yield _picture_matte(picture)
        return
    hint = projection_from_name(path.stem)
    is_packed = kind == "alpha-packed" or (kind == "auto" and hint.alpha_packed)
    fov_deg = hint.fov_deg or _DEFAULT_FOV_DEG
    with open_input(path) as container:
        if not container.streams.video:
            raise InputError(
                f"{path}: has no video stream; accepted are videos and folders of PNG files"
            )
        try:
            for frame in decode_with_alpha(container, container.streams.video[0]):
                if kind != "matte" and _has_alpha(frame):
                    yield _alpha(frame)
                elif is_packed:
                    yield _unpacked(frame, fov_deg, path)
                else:
                    yield _luma(frame)
        except av.error.FFmpegError as error:
            raise DamagedInputError(
                f"{path}: can't be decoded to its end ({error}). Copy it again or create it again"
            ) from error


def read_in_step(
    mattes: Sequence[tuple[Path, Generator[Alpha]]],
) -> Iterator[tuple[Alpha, ...]]:
    """Yield the mattes of several files frame by frame, each file read by a thread.

    Args:
        mattes: each file, for errors, and its mattes.

    Raises:
        InputError: a file ends before the others.
    """
    with ExitStack() as stack:
        readers: list[Iterator[Alpha]] = []
        for path, alphas in mattes:
            stack.enter_context(closing(alphas))
            readers.append(iter(stack.enter_context(Prefetcher(alphas, 1, path.name))))
        frames = 0
        while True:
            step = [next(reader, None) for reader in readers]
            present = tuple(alpha for alpha in step if alpha is not None)
            if not present:
                return
            if len(present) < len(step):
                pairs = zip(mattes, step, strict=True)
                ended = next(path for (path, _), alpha in pairs if alpha is None)
                raise InputError(
                    f"{ended}: ends after {frames} frames, before the others; only videos of the "
                    "same frames can be compared"
                )
            yield present
            frames += 1


def _pictures(folder: Path) -> list[Path]:
    pictures = sorted(folder.glob("*.png"))
    if not pictures:
        raise InputError(
            f"{folder}: holds no PNG files; accepted are videos and folders of PNG files"
        )
    return pictures


def _picture_matte(path: Path) -> Alpha:
    """Return the alpha channel, or the grey levels of an image without colours."""
    try:  # OpenCV itself opens no name outside the code page of Windows
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from error
    picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    channels = 0 if picture is None else 1 if picture.ndim == 2 else picture.shape[2]
    if picture is None or channels not in (1, 2, 4):
        raise InputError(f"{path}: is not a PNG file that is grey or has alpha")
    plane = picture if picture.ndim == 2 else picture[..., -1]
    return _scaled(plane, 0, 255 if plane.dtype == np.uint8 else 65535)


def _has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _alpha(frame: VideoFrame) -> Alpha:
    """Return the alpha plane, which always has full range."""
    if len(frame.planes) != len(frame.format.components):
        return _scaled(frame.to_ndarray(format="rgba")[..., 3], 0, 255)
    bits = frame.format.components[-1].bits
    plane = plane_view(frame.planes[-1], 1 if bits <= 8 else 2)
    return _scaled(plane, 0, (1 << bits) - 1)


def _luma(frame: VideoFrame) -> Alpha:
    """Return the luma, scaled from the frame's range; the grey levels of RGB."""
    first = frame.format.components[0]
    if frame.format.is_rgb or not first.is_luma or len(frame.planes) < _planes_of(frame):
        return _scaled(frame.to_ndarray(format="gray"), 0, 255)
    plane = plane_view(frame.planes[0], 1 if first.bits <= 8 else 2)
    peak = (1 << first.bits) - 1
    if _is_full_range(frame):
        return _scaled(plane, 0, peak)
    step = 1 << (first.bits - 8)
    return np.clip(_scaled(plane, 16 * step, 235 * step), 0, 1)


def _planes_of(frame: VideoFrame) -> int:
    return 1 if frame.format.name.startswith("gray") else 2


def _is_full_range(frame: VideoFrame) -> bool:
    """Return True for full range: "yuvj" always has it, grey formats unless tagged otherwise."""
    name = frame.format.name
    return name.startswith(("gray", "yuvj")) or int(frame.color_range) == _FULL_RANGE


def _unpacked(frame: VideoFrame, fov_deg: float, path: Path) -> Alpha:
    """Return the matte as players unpack it, in half-equirectangular projection."""
    layout = YUV420P if frame.format.components[0].bits == 8 else YUV420P10
    tags = ColorTags(matrix=int(frame.colorspace), full_range=_is_full_range(frame))
    try:
        matte = unpack_alpha(to_planar(frame, layout, tags), fov_deg)
    except ValueError as error:
        raise InputError(f"{path}: is not an alpha-packed video ({error})") from error
    return _scaled(matte, 0, 255)


def _scaled(plane: np.ndarray, black: int, white: int) -> Alpha:
    scaled = plane.astype(np.float32)
    if black:
        scaled -= np.float32(black)
    scaled *= np.float32(1 / (white - black))
    return scaled
