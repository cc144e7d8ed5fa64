"""All keys of the configuration as a flat table: default, accepted values, meaning.

Errors, the starter file and docs/config.md use this table, which is derived from the models.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vrmatte.settings.config import Config


@dataclass(frozen=True, slots=True)
class Key:
    """A setting."""

    path: str
    """Dotted, e.g. "output.alpha_packed.fov_deg"."""
    default: object
    """As YAML or JSON would hold it: lists for tuples, text for paths."""
    accepted: str
    """In words that follow "it takes"."""
    meaning: str
    """For a deprecated key, the reason why it has no effect."""
    is_deprecated: bool = False

    @property
    def section(self) -> str:
        """Dotted path above the key's name."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition(".")[2]


def value_of(root: object, path: str) -> Any:
    """Return the value at a dotted path of a `Config`."""
    return reduce(getattr, path.split("."), root)


def nearest(path: str) -> str | None:
    """Return the key or section that an unknown dotted path most likely means.

    A correct name in the wrong section comes first, then a typing error inside a known section.
    """
    section, _, name = path.rpartition(".")
    for known in (*KEYS, *SECTIONS):
        if known.rpartition(".")[2] == name:
            return known
    inside = [key.path for key in KEYS.values() if key.section == section]
    for candidates in (inside, [*SECTIONS, *KEYS]):
        close = difflib.get_close_matches(path, candidates, n=1, cutoff=0.7)
        if close:
            return close[0]
    close = difflib.get_close_matches(name, [key.name for key in KEYS.values()], n=1, cutoff=0.75)
    return next((key.path for key in KEYS.values() if close and key.name == close[0]), None)


def children(section: str) -> list[str]:
    """Return the names that may appear directly in a section ("" for the top of a file)."""
    inside = f"{section}." if section else ""
    paths = [path.removeprefix(inside) for path in KEYS if path.startswith(inside)]
    return list(dict.fromkeys(path.split(".")[0] for path in paths))


def _accepted(annotation: Any, limits: Sequence[object] = ()) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _accepted(arguments[0], (*limits, *_flat(arguments[1:])))
    if origin is Literal:
        return _either([str(choice) for choice in arguments])
    if origin is tuple:
        each = _accepted(arguments[0], limits)
        count = "" if arguments[-1] is Ellipsis else f" of {len(arguments)}"
        return f"a list{count}, each item {each}"
    if arguments:
        required = [_accepted(choice, limits) for choice in arguments if choice is not NoneType]
        return " or ".join(required) + (", or null" if NoneType in arguments else "")
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _range(limits)
    return {bool: "true or false", str: "text", Path: "a path"}[annotation]


def _flat(metadata: Sequence[object]) -> Iterator[object]:
    for item in metadata:
        yield from item.metadata if isinstance(item, FieldInfo) else (item,)


def _range(limits: Sequence[object]) -> str:
    low, above, high = (
        next((getattr(limit, name) for limit in limits if hasattr(limit, name)), None)
        for name in ("ge", "gt", "le")
    )
    if low is not None:
        return f" from {low} to {high}" if high is not None else f" from {low} up"
    if above is not None:
        return f" above {above}" + (f" and up to {high}" if high is not None else "")
    return f" up to {high}" if high is not None else ""


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _walk(model: type[BaseModel], above: str = "") -> Iterator[Key | tuple[str, str]]:
    """Yield all keys below a model, and before those of a section its path and meaning."""
    defaults = cast(dict[str, object], model().model_dump(mode="json"))
    for name, field in model.model_fields.items():
        path = above + name
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield path, (annotation.__doc__ or "").splitlines()[0]
            yield from _walk(annotation, f"{path}.")
        else:
            accepted = _accepted(annotation, field.metadata)
            extra = field.json_schema_extra
            is_deprecated = isinstance(extra, dict) and extra.get("deprecated") is True
            yield Key(path, defaults[name], accepted, field.description or "", is_deprecated)


_ENTRIES = tuple(_walk(Config))
KEYS: dict[str, Key] = {item.path: item for item in _ENTRIES if isinstance(item, Key)}
"""Keys by dotted path, in the order of the models."""
SECTIONS: dict[str, str] = {item[0]: item[1] for item in _ENTRIES if isinstance(item, tuple)}
"""Dotted path of each section to its meaning."""
