"""Which sources can be processed, and what is to be said of those that can."""

from __future__ import annotations

from vrmatte.errors import InputError
from vrmatte.media.probe import SourceInfo


def check_source(source: SourceInfo) -> None:
    """Refuse what can't be processed, saying what to do.

    Raises:
        InputError: wrong layout, projection, size or rotation.
    """
    where = f"{source.path}: "
    if source.rotation_deg:
        raise InputError(
            f"{where}is marked to be shown turned by {source.rotation_deg} degrees; accepted are "
            "upright videos. Export it without the rotation flag"
        )
    if source.stereo != "side_by_side":
        raise InputError(
            f"{where}looks like {source.stereo.replace('_', ' ')} ({source.evidence}); accepted is "
            "side by side. If that is wrong, say --set input.layout=side_by_side"
        )
    if source.eyes_swapped:
        raise InputError(
            f"{where}has the right eye on the left ({source.evidence}); accepted is the left eye "
            "there. Swap its halves, or if that is wrong take the tag out of its name"
        )
    if source.projection not in ("half_equirect", "fisheye"):
        raise InputError(
            f"{where}looks like {source.projection} projection ({source.evidence}); accepted are "
            "half-equirectangular and fisheye. If that is wrong, say "
            "--set input.projection=half_equirect, or name a fisheye with --set input.lens=..."
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


def source_notices(source: SourceInfo) -> tuple[str, ...]:
    """What was taken for granted about a source."""
    if source.projection == "fisheye" and source.fov_evidence == "assumed":
        return (
            f"{source.path}: nothing tells the field of view of its fisheye, so "
            f"{source.projection_fov_deg:g} degrees are assumed; if that is wrong, name its lens "
            "with --set input.lens=fisheye190 or another",
        )
    return ()
