"""The settings of a run, merged from defaults, preset, files and command line, with their origins.

Later sources win, key by key: default, preset, files in order, `--set`, command line options.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from vrmatte.errors import ConfigError, one_line
from vrmatte.settings.choices import PRESETS
from vrmatte.settings.config import Config
from vrmatte.settings.files import parse_value, read_document
from vrmatte.settings.keys import KEYS, SECTIONS, Key, children, nearest, value_of

EARLIER_RUN = "the earlier run"
"""Origin of a key that an earlier run had set or left at its default."""

_LONGEST_SHOWN = 60
"""Characters of a wrong value or key that an error quotes."""

_MOST_FAULTS = 20
"""Faults that an error lists; a file with more is probably not a configuration of vrmatte."""
_STARTER_WIDTH = 96
_ORIGIN_COLUMN = 44


@dataclass(frozen=True, slots=True)
class ResolvedConfig:
    """All settings of a run, and their origins."""

    config: Config
    origins: Mapping[str, str]
    """For each dotted key 'default', 'preset NAME', 'FILE:LINE', '--set' or 'command line'."""


@dataclass(frozen=True, slots=True)
class _SettingsSource:
    """Settings from one source."""

    name: str
    tree: Mapping[str, object]
    lines: Mapping[str, int] = field(default_factory=dict[str, int])
    is_typed: bool = False
    """The values come from code; values written by people must have the exact type."""

    def origin(self, key: str) -> str:
        """Return the file and line of a key, or of its nearest section with a known line."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return f"{self.name}:{self.lines[key]}" if key else self.name


def load_config(
    files: Sequence[Path | str] = (),
    assignments: Sequence[str] = (),
    preset: str | None = None,
    overrides: Mapping[str, object] | None = None,
    earlier: Mapping[str, object] | None = None,
) -> ResolvedConfig:
    """Merge all sources of settings.

    Args:
        files: YAML or TOML files; a later one wins, key by key.
        assignments: "dotted.key=value" with a YAML scalar or list; these win over files.
        preset: a name in `PRESETS`; everything else wins over it.
        overrides: dotted keys of command line options; these win over all. None: not given.
        earlier: settings of an earlier run that is continued; everything else wins over them.

    Raises:
        ConfigError: names every fault of every source, joined by "; ".

    Example:
        >>> resolved = vrmatte.load_config(["vrmatte.yaml"], ["output.quality=17"])
        >>> resolved.config.output.quality, resolved.origins["output.quality"]
        (17, '--set')
    """
    faults: list[str] = []
    values: dict[str, object] = {}
    origins = dict.fromkeys(KEYS, "default")
    for source in _sources(files, assignments, preset, overrides or {}, earlier or {}, faults):
        from_source: dict[str, object] = {}
        for key, value in _read(source, source.tree, "", faults):
            if key in from_source:
                faults.append(f"{source.origin(key)}: {key} is set twice, keep one")
            from_source[key] = value
            origins[key] = source.origin(key)
        values |= from_source
    if not faults:
        try:
            return ResolvedConfig(Config.model_validate(_nested(values)), origins)
        except ValidationError as error:
            faults += _joint_faults(error, origins)
    raise ConfigError(one_line(_joined(faults)))


def _sources(
    files: Sequence[Path | str],
    assignments: Sequence[str],
    preset: str | None,
    overrides: Mapping[str, object],
    earlier: Mapping[str, object],
    faults: list[str],
) -> Iterator[_SettingsSource]:
    """Yield all sources, the weakest first; unreadable ones become faults."""
    yield _SettingsSource(EARLIER_RUN, earlier, is_typed=True)
    if preset is not None:
        if preset not in PRESETS:
            faults.append(f"unknown preset {_shown(preset)}, choose one of {', '.join(PRESETS)}")
        yield _SettingsSource(f"preset {preset}", PRESETS.get(preset, {}), is_typed=True)
    for path in files:
        try:
            document = read_document(Path(path))
            yield _SettingsSource(str(path), document.tree, document.lines)
        except ConfigError as error:
            faults.append(str(error))
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        if not (key and equals):
            faults.append(
                f"--set {_cut(assignment)}: write key=value, e.g. --set processing.chunk_size=300"
            )
            continue
        try:
            yield _SettingsSource("--set", {key: parse_value(text)})
        except ConfigError as error:
            faults.append(f"--set {_cut(assignment)}: {error}")
    given = {key: value for key, value in overrides.items() if value is not None}
    yield _SettingsSource("command line", given, is_typed=True)


def _read(
    source: _SettingsSource, tree: Mapping[str, object], above: str, faults: list[str]
) -> Iterator[tuple[str, object]]:
    """Yield dotted keys and checked values below a section; unusable ones become faults."""
    for name, value in tree.items():
        key = f"{above}.{name}" if above else name
        problem = ""
        if key in KEYS:
            try:
                yield key, _checked(key, value, source.is_typed)
            except ValidationError:
                problem = f"{key} can't be {_shown(value)}, it takes {KEYS[key].accepted}"
        elif key not in SECTIONS:
            # Fuzzy matching is slow: a file of nothing but unknown keys would take minutes.
            hint = _hint(key) if len(faults) < _MOST_FAULTS else ""
            problem = f"unknown key {_cut(key)}{hint}"
        elif isinstance(value, dict):
            yield from _read(source, cast(dict[str, object], value), key, faults)
        elif value is not None:
            names = ", ".join(children(key))
            problem = f"{key} can't be {_shown(value)}, it is a section with the keys {names}"
        if problem:
            faults.append(f"{source.origin(key)}: {problem}")


def _checked(key: str, value: object, is_typed: bool) -> object:
    """Return the value with the type of its model; rules between keys are checked after merging."""
    tree = _nested({key: value})
    if is_typed:
        return value_of(Config.model_validate(tree), key)
    # Strict JSON accepts neither "yes" for true nor true for 1, but lists for tuples.
    return value_of(Config.model_validate_json(json.dumps(tree, default=str), strict=True), key)


def _hint(key: str) -> str:
    known = nearest(key)
    if known:
        return f", did you mean {known}?"
    section = key.rpartition(".")[0]
    if section not in SECTIONS:
        return f", the sections are {', '.join(children(''))}"
    return f", {section} has {', '.join(children(section))}"


def _joint_faults(error: ValidationError, origins: Mapping[str, str]) -> Iterator[str]:
    """Yield faults between keys, with all places that set keys of that section."""
    for detail in error.errors(include_url=False):
        section = ".".join(str(part) for part in detail["loc"])
        places = [origins[key] for key in KEYS if key.startswith(f"{section}.")]
        named = ", ".join(place for place in dict.fromkeys(places) if place != "default")
        yield f"{named}: {section}: {detail['msg'].removeprefix('Value error, ')}"


def _joined(faults: Sequence[str]) -> str:
    more = len(faults) - _MOST_FAULTS
    return "; ".join([*faults[:_MOST_FAULTS], *([f"and {more} more faults"] if more > 0 else [])])


def _nested(leaves: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for key, value in leaves.items():
        *sections, name = key.split(".")
        branch = tree
        for section in sections:
            branch = cast(dict[str, object], branch.setdefault(section, {}))
        branch[name] = value
    return tree


def _shown(value: object) -> str:
    """Return a wrong value as the user may have written it."""
    return _cut(json.dumps(value, default=str, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def format_config(resolved: ResolvedConfig, origins: bool = True) -> str:
    """Return the configuration as YAML that loads to the same settings.

    Deprecated keys are left out unless they were set.

    Args:
        resolved: the settings.
        origins: write the origin of each key in a comment.
    """
    values = resolved.config.model_dump(mode="json")

    def line(key: Key, indent: str) -> Iterator[str]:
        if key.is_deprecated and resolved.origins[key.path] == "default":
            return
        value: object = values
        for part in key.path.split("."):
            value = cast(dict[str, object], value)[part]
        setting = f"{indent}{key.name}: {_yaml(value)}"
        yield (
            f"{setting:<{_ORIGIN_COLUMN}}# {one_line(resolved.origins[key.path])}"
            if origins
            else setting
        )

    return _outline(line, lambda section, indent: (f"{indent}{section.split('.')[-1]}:",))


def starter_config() -> str:
    """Return a file to start from: every key that has an effect, with its meaning and default.

    Keys are commented out, so that the file changes nothing until it is edited.
    """

    def key_lines(key: Key, indent: str) -> Iterator[str]:
        if key.is_deprecated:
            return
        yield textwrap.fill(
            f"{key.meaning} ({key.accepted})",
            _STARTER_WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}#   ",
        )
        yield f"{indent}#{key.name}: {_yaml(key.default)}"

    def head_lines(section: str, indent: str) -> Iterator[str]:
        yield f"\n{indent}# {SECTIONS[section]}"
        yield f"{indent}{section.split('.')[-1]}:"

    head = "# Settings of vrmatte. Remove the # before a key to set it; others keep defaults.\n"
    return head + _outline(key_lines, head_lines)


def starter_toml() -> str:
    """Return the same as TOML, with the whole name of every key, so that order doesn't matter."""
    lines = ["# Settings of vrmatte. Remove the # before a key to set it; others keep defaults."]
    section = ""
    for key in KEYS.values():
        if key.is_deprecated:
            continue
        if key.section != section:
            section = key.section
            lines.append(f"\n# --- {SECTIONS[section]}")
        wrapped = textwrap.wrap(
            f"# {key.meaning} ({key.accepted})", _STARTER_WIDTH, subsequent_indent="#   "
        )
        is_unset = key.default is None
        value = "  # unset by default" if is_unset else f" {_yaml(key.default)}"
        lines += [*wrapped, f"#{key.path} ={value}"]
    return "\n".join(lines) + "\n"


def _outline(
    key_lines: Callable[[Key, str], Iterable[str]],
    head_lines: Callable[[str, str], Iterable[str]],
) -> str:
    """Return all keys in order, indented below the heads of their sections."""
    lines: list[str] = []
    current = ""
    for key in KEYS.values():
        indent = "  " * key.path.count(".")
        if key.section != current:
            current = key.section
            lines += head_lines(current, indent[2:])
        lines += key_lines(key, indent)
    return "\n".join(lines) + "\n"


def _yaml(value: object) -> str:
    """Return a value as YAML; JSON is YAML and quotes all text, so no name becomes a number."""
    return json.dumps(value, ensure_ascii=False)
