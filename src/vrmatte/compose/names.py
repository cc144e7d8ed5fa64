"""File names of finished videos; players learn projection and packing from them."""

from __future__ import annotations

from vrmatte.config import DeliverableName


def output_name(stem: str, deliverable: DeliverableName, fov_deg: int) -> str:
    """File name of a deliverable.

    Args:
        stem: the source's name without suffix and without projection tags of its own: a player
            that finds two tags may follow the wrong one.
        deliverable: what the file holds.
        fov_deg: field of view of the fisheye circle; only alpha-packed files have one.
    """
    if deliverable == "alpha-packed":
        return f"{stem}_FISHEYE{fov_deg}_alpha.mp4"
    ending = {
        "matte": "matte.mp4",
        "matte-lossless": "matte.mkv",
        "greenscreen": "greenscreen.mp4",
    }
    return f"{stem}_LR_180_{ending[deliverable]}"
