"""Source videos as the commands open them: probed with the user's overrides, and checked."""

from __future__ import annotations

from pathlib import Path

from av.video.format import VideoFormat

from vrmatte.errors import InputError
from vrmatte.media.naming import projection_from_name
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.scan import content_identity, scan_timeline
from vrmatte.progress import ignore
from vrmatte.settings.config import InputConfig


def open_source(video: Path, overrides: InputConfig) -> SourceInfo:
    """Probe a video with the user's layout, projection and lens, and check that it can be matted.

    Raises:
        ConfigError: a lens together with a projection other than fisheye.
        InputError: not a video vrmatte reads, beyond its limits, or refused by `check_source`.
        DamagedInputError: the file is cut off before its index, or its first frame is damaged.
    """
    source = probe(
        video,
        layout=overrides.layout,
        projection=overrides.projection,
        lens=overrides.lens,
    )
    check_source(source)
    return source


def check_source(source: SourceInfo) -> None:
    """Refuse a video that can't be matted, with advice.

    Raises:
        InputError: wrong layout, projection, size or rotation.
    """
    where = f"{source.path}: "
    if projection_from_name(source.path.stem).alpha_packed:
        raise InputError(
            f"{where}is named like an alpha-packed file, which contains its matte already. Use the "
            "video it was made from, or rename it if the name is wrong"
        )
    if source.rotation_deg:
        raise InputError(
            f"{where}has a rotation flag of {source.rotation_deg} degrees; only upright videos are "
            "accepted. Export it without the flag"
        )
    if source.stereo != "side_by_side":
        raise InputError(
            f"{where}looks like {source.stereo.replace('_', ' ')} ({source.evidence}); only side "
            "by side is accepted. If the detection is wrong, use --set input.layout=side_by_side"
        )
    if source.eyes_swapped:
        raise InputError(
            f"{where}has the right eye on the left ({source.evidence}); the left eye must be "
            "there. Swap the halves, or, if the file name is wrong, remove the tag from it"
        )
    if source.projection not in ("half_equirect", "fisheye"):
        raise InputError(
            f"{where}looks like {source.projection} projection ({source.evidence}); only "
            "half-equirectangular and fisheye are accepted. If the detection is wrong, use "
            "--set input.projection=half_equirect, or name the fisheye lens with "
            "--set input.lens=..."
        )
    width, height = source.width, source.height
    if width != 2 * height:
        raise InputError(
            f"{where}is {width}x{height}; side-by-side VR180 is twice as wide as high (two square "
            f"eyes, such as {2 * height}x{height}). Re-export it without cropping"
        )
    if height % 2:
        raise InputError(
            f"{where}is {width}x{height}; the height must be even, because 4:2:0 video stores "
            "colour for every second line. Re-export it at an even size"
        )


class UnchangedSource:
    """Checks that a file is still the one that a run began with.

    Its size, times and number in the file system are compared; if any differs, all its packets are
    read again.
    """

    def __init__(self, source: SourceInfo) -> None:
        """Note the state of the file, before anything else is read from it."""
        self._source = source
        self._stamp = _stamp(source.path)
        self.identity = ""
        """From `content_identity`, once the file was scanned."""

    def check(self) -> None:
        """Check the file.

        Raises:
            InputError: it is another one, or was changed.
        """
        stamp = _stamp(self._source.path)
        if stamp == self._stamp:
            return
        if not self.identity or self._scanned() != self.identity:
            raise InputError(
                f"{self._source.path}: was replaced or changed during the run. Nothing made from "
                "the new content was kept; run the same command again once the file is complete"
            )
        self._stamp = stamp

    def _scanned(self) -> str | None:
        try:
            timeline = scan_timeline(self._source, ignore, "hold")
            return content_identity(self._source.path, timeline)
        except InputError:
            return None


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            f"{path}: can't be read any more: {error.strerror or error}. Bring it back and run the "
            "same command again, finished chunks are kept"
        ) from error
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def source_notices(source: SourceInfo) -> tuple[str, ...]:
    """Return notices about properties of a source that had to be assumed or converted."""
    notices: list[str] = []
    if VideoFormat(source.pixel_format).is_rgb:
        notices.append(f"{source.path}: RGB frames are converted to BT.709, limited range")
    if source.projection == "fisheye" and source.fov_evidence == "assumed":
        notices.append(
            f"{source.path}: the field of view of its fisheye is unknown; assuming "
            f"{source.projection_fov_deg:g} degrees. If that is wrong, name the lens, for example "
            "with --set input.lens=fisheye190"
        )
    return tuple(notices)
