"""File names of finished videos; players learn projection and packing from them.

A name is made of the source's name, tags that players read, and a kind that people read. No kind
but that of alpha-packed files holds the word "alpha" by itself, since players take it for packing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from string import Formatter
from typing import Literal

from vrmatte.errors import ConfigError
from vrmatte.frames import Eye
from vrmatte.settings.config import DeliverableName, LensName

_PLAIN_TEMPLATE = "{stem}_{tags}_{kind}"

_KIND_AND_SUFFIX: dict[DeliverableName, tuple[str, str]] = {
    "matte": ("matte", ".mp4"),
    "matte-lossless": ("matte", ".mkv"),
    "xalpha": ("XALPHA", ".mp4"),
    "alpha-packed": ("alpha", ".mp4"),
    "greenscreen": ("greenscreen", ".mp4"),
    "prores4444": ("rgba", ".mov"),
    "webm-alpha": ("rgba", ".webm"),
    "ffv1-alpha": ("rgba", ".mkv"),
    "png": ("png", ""),
    "exr": ("exr", ""),
    "preview": ("preview", ".mp4"),
    "confidence": ("confidence", ".mp4"),
    "overlay": ("detections", ".mp4"),
}
"""Picture sequences are folders and have no suffix. No kind holds letters that players look for in
names: "overlay" has "rl" in it, right eye left."""

_FIELDS: tuple[str, ...] = ("stem", "eye", "projection", "kind", "tags")
_UNSAFE = frozenset('/\\<>:"|?*')
"""Separators, and what Windows and shared drives refuse in a name."""
_MOST_BYTES = 250
"""File systems take 255; an unfinished file's name is five longer."""


def output_name(
    stem: str,
    deliverable: DeliverableName,
    fov_deg: int = 190,
    *,
    eye: Eye | None = None,
    projection: Literal["half_equirect", "fisheye"] = "half_equirect",
    lens: LensName | None = None,
    source_stem: str | None = None,
    template: str | None = None,
) -> str:
    """File name of a deliverable; for picture sequences, of its folder.

    Args:
        stem: the source's name without suffix and without projection tags of its own: a player
            that finds two tags may follow the wrong one.
        deliverable: what the file holds.
        fov_deg: field of view of the fisheye circle, where the file has one.
        eye: the one eye it holds; none: both, side by side.
        projection: of its pictures; alpha-packed files are fisheye whatever stands here.
        lens: the fisheye view by the name players know; goes before `fov_deg`.
        source_stem: the source's whole name without suffix, tags and all, where an xalpha file
            lies exactly over the source's own pictures. Players find it by that name.
        template: `output.name_template`; leaves xalpha files alone, for the same reason.

    Raises:
        ConfigError: the template has unknown fields, or makes a name that is none.
        ValueError: alpha-packed for one eye; its frames hold both.
    """
    if deliverable == "alpha-packed" and eye is not None:
        raise ValueError("alpha-packed frames hold both eyes")
    kind, suffix = _KIND_AND_SUFFIX[deliverable]
    view = _view(deliverable, projection, lens.upper() if lens else f"FISHEYE{fov_deg}")
    tags = f"{eye.value}_{view}" if eye else "LR_180" if view == "180" else view
    if deliverable == "xalpha":
        return f"{source_stem or f'{stem}_{tags}'}_{kind}{suffix}"
    values = (stem, eye.value if eye else "both", view, kind, tags)
    fields: dict[str, str] = dict(zip(_FIELDS, values, strict=True))
    if template is None:
        return _PLAIN_TEMPLATE.format_map(fields) + suffix
    _check_template(template)
    name = template.format_map(fields) + suffix
    if len(os.fsencode(name)) > _MOST_BYTES:
        raise _fault(template, f"makes a name of more than {_MOST_BYTES} bytes")
    return name


def _view(deliverable: DeliverableName, projection: str, fisheye: str) -> str:
    """What one eye shows, in players' words."""
    if deliverable == "preview" or deliverable == "overlay":
        return "2D"
    return fisheye if deliverable == "alpha-packed" or projection == "fisheye" else "180"


def refuse_shared_names(names: Iterable[str], template: str | None) -> None:
    """See that all files of a run can lie in one folder, also where case doesn't count.

    Raises:
        ConfigError: two of them would have the same name.
    """
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in seen:
            raise _fault(template, f'gives two files the name "{name}"; add {{eye}} or {{kind}}')
        seen[name.casefold()] = name


def _check_template(template: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _fault(template, f"has a brace without its partner ({error})") from error
    for text, field, layout, conversion in parts:
        if field is not None and (field not in _FIELDS or layout or conversion):
            raise _fault(template, f"has the unknown field {{{field}}}")
        refused = [sign for sign in text if sign in _UNSAFE or not sign.isprintable()]
        if refused:
            raise _fault(template, f"has {refused[0]!r}, which no file name may have")
    if not template or template[0] in ".- " or template[-1] in ". ":
        raise _fault(
            template, "must begin with no dot, dash or space, and end with no dot or space"
        )


def _fault(template: str | None, what: str) -> ConfigError:
    accepted = ", ".join(f"{{{field}}}" for field in _FIELDS)
    shown = "null" if template is None else repr(template)
    return ConfigError(
        f"output.name_template = {shown} {what}; accepted is a file name without suffix, of plain "
        f"text and {accepted}"
    )
