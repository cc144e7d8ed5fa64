"""File names of finished videos; players read projection and packing from them.

A name consists of the name of the source, tags for players, and a word for people. Only the word
for alpha-packed files is "alpha", which players take as a sign of packing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from string import Formatter

from vrmatte.deliverable_kinds import DeliverableKind, View
from vrmatte.errors import ConfigError
from vrmatte.frames import Eye
from vrmatte.settings.config import LensName

_PLAIN_TEMPLATE = "{stem}_{tags}_{kind}"
_HALF_EQUIRECT = "180"
_FIELDS: tuple[str, ...] = ("stem", "eye", "projection", "kind", "tags")
_UNSAFE = frozenset('/\\<>:"|?*')
"""Path separators, and characters that Windows and network drives reject in a name."""
_MOST_BYTES = 250
"""File systems allow 255; the name of an unfinished file is five longer."""


def view_tag(
    kind: DeliverableKind, fisheye_fov_deg: int | None = None, lens: LensName | None = None
) -> str:
    """Return the word that tells players what an eye shows, such as "180" or "FISHEYE190".

    Args:
        kind: the deliverable.
        fisheye_fov_deg: field of view of the fisheye circle; None: half-equirectangular.
        lens: lens with exactly that fisheye projection, which players know by name.
    """
    if kind.view is View.SCREEN:
        return "2D"
    if fisheye_fov_deg is None:
        return _HALF_EQUIRECT
    return lens.upper() if lens else f"FISHEYE{fisheye_fov_deg}"


def output_name(
    stem: str,
    kind: DeliverableKind,
    view: str,
    *,
    eye: Eye | None = None,
    source_stem: str | None = None,
    template: str | None = None,
) -> str:
    """Return the file name of a deliverable; for an image sequence, the name of its folder.

    Args:
        stem: name of the source without suffix and without its projection tags: a player that
            finds two tags may follow the wrong one.
        kind: the deliverable.
        view: what an eye shows, from `view_tag`.
        eye: the only eye in the file; None: both, side by side.
        source_stem: full name of the source without suffix, if the file matches the frames of the
            source exactly. Players find an xalpha file by that name.
        template: `output.name_template`; not applied to xalpha files, for the same reason.

    Raises:
        ConfigError: the template has unknown fields, or gives a name that is not a file name.
    """
    tags = f"{eye.value}_{view}" if eye else "LR_180" if view == _HALF_EQUIRECT else view
    if kind.named_after_source:
        return f"{source_stem or f'{stem}_{tags}'}_{kind.name_word}{kind.suffix}"
    values = (stem, eye.value if eye else "both", view, kind.name_word, tags)
    fields: dict[str, str] = dict(zip(_FIELDS, values, strict=True))
    if template is None:
        return _PLAIN_TEMPLATE.format_map(fields) + kind.suffix
    _check_template(template)
    name = template.format_map(fields) + kind.suffix
    if len(os.fsencode(name)) > _MOST_BYTES:
        raise _fault(template, f"gives a name of more than {_MOST_BYTES} bytes")
    return name


def refuse_shared_names(names: Iterable[str], template: str | None) -> None:
    """Check that all files of a run can be in one folder, even if case is ignored.

    Raises:
        ConfigError: two files would have the same name.
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
        raise _fault(template, f"has an unmatched brace ({error})") from error
    for text, field, layout, conversion in parts:
        if field is not None and (field not in _FIELDS or layout or conversion):
            raise _fault(template, f"has the unknown field {{{field}}}")
        refused = [sign for sign in text if sign in _UNSAFE or not sign.isprintable()]
        if refused:
            raise _fault(template, f"has {refused[0]!r}, which is not allowed in file names")
    if not template or template[0] in ".- " or template[-1] in ". ":
        raise _fault(
            template, "must not begin with a dot, dash or space, nor end with a dot or space"
        )


def _fault(template: str | None, problem: str) -> ConfigError:
    accepted = ", ".join(f"{{{field}}}" for field in _FIELDS)
    shown = "null" if template is None else repr(template)
    return ConfigError(
        f"output.name_template = {shown} {problem}; accepted is a file name without suffix, of "
        f"plain text and {accepted}"
    )
