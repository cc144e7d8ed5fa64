"""Configuration files, read into plain values with the line of each key.

YAML is restricted to what a configuration needs: no tags, anchors, dates or repeated keys. Files
are untrusted, so size and depth are limited before anything is built.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml
from yaml import Mark, MarkedYAMLError, Node

from vrmatte.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 50_000
SUFFIXES = (".yaml", ".yml", ".toml")
_LARGEST_WHOLE = 2**63
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_TOO_LARGE = "a whole number is too large (more than 64 bits)"
_LONG_DOTTED_KEY = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
    rf"{{{MAX_DEPTH}}}"
)
"""tomllib needs memory by the square of a key's parts: gigabytes for a key of 100 kB."""


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """Content of a configuration file."""

    tree: dict[str, object]
    """Sections as nested dictionaries."""
    lines: dict[str, int] = field(default_factory=dict[str, int])
    """Lines of dotted keys, counted from 1; in TOML only of keys at the start of a line."""


def read_document(path: Path) -> ConfigDocument:
    """Read a YAML or TOML file, depending on its suffix.

    Raises:
        ConfigError: it can't be read, is too large, or its content does not match its suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise ConfigError(f"{path}: a configuration file must end in {known}")
    text = _read_text(path)
    return _read_toml(path, text) if suffix == ".toml" else _read_yaml(path, text)


def parse_value(text: str) -> object:
    """Return the value of a YAML scalar or list, as in `--set key=value`; empty text is null.

    Raises:
        ConfigError: the text isn't YAML; the message doesn't name its origin.
    """
    try:
        return _compose(text, {})
    except yaml.YAMLError as error:
        raise ConfigError(_problem(error)[1]) from error


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigError(f"{path}: can't read this configuration file: {reason}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1000} kB, not a configuration file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text file in UTF-8 (byte {error.start})") from error


def _as_document(path: Path, tree: object, lines: dict[str, int]) -> ConfigDocument:
    if tree is None:
        return ConfigDocument({})
    if not isinstance(tree, dict):
        content = "a list" if isinstance(tree, list) else "a single value"
        raise ConfigError(f"{path}: must contain sections such as 'processing:', not {content}")
    return ConfigDocument(cast(dict[str, object], tree), lines)


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML without tags, anchors and aliases, limited in depth and number of nodes."""

    _depth = 0
    _nodes = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _at(event.start_mark, "anchors and aliases (& and *) are not accepted")
        if event.tag is not None:
            raise _at(event.start_mark, f"tags are not accepted ({event.tag})")
        if self._depth > MAX_DEPTH:
            raise _at(event.start_mark, _TOO_DEEP)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _at(event.start_mark, f"contains more than {MAX_NODES} keys and values")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int", "null"))
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 reads 1e-3 as text, but everybody who writes it means a number.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _read_yaml(path: Path, text: str) -> ConfigDocument:
    lines: dict[str, int] = {}
    try:
        tree = _compose(text, lines)
    except yaml.YAMLError as error:
        line, problem = _problem(error)
        place = f"{path}:{line}" if line else str(path)
        raise ConfigError(f"{place}: {problem}") from error
    return _as_document(path, tree, lines)


def _compose(text: str, lines: dict[str, int]) -> object:
    loader = _PlainLoader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _plain(loader, node, "", lines)
    finally:
        loader.dispose()


def _plain(loader: _PlainLoader, node: Node, path: str, lines: dict[str, int]) -> object:
    """Return the node's value; the lines of all keys below it are added to `lines`."""
    if isinstance(node, yaml.SequenceNode):
        items = cast(Sequence[Node], node.value)
        return [_plain(loader, item, f"{path}[{i}]", lines) for i, item in enumerate(items)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node)
    tree: dict[str, object] = {}
    for key_node, value_node in cast(Sequence[tuple[Node, Node]], node.value):
        if not isinstance(key_node, yaml.ScalarNode):
            raise _at(key_node.start_mark, "a key must be a single word")
        name = str(key_node.value)
        key = f"{path}.{name}" if path else name
        if name in tree:
            raise _at(key_node.start_mark, f"{key} is set here and in line {lines[key]}, keep one")
        lines[key] = int(key_node.start_mark.line) + 1
        tree[name] = _plain(loader, value_node, key, lines)
    return tree


def _scalar(loader: _PlainLoader, node: Node) -> object:
    try:
        value: object = loader.construct_object(node)
    except (ValueError, OverflowError) as error:
        raise _at(node.start_mark, "this looks like a number but can't be read as one") from error
    if _is_huge(value):
        raise _at(node.start_mark, _TOO_LARGE)
    return value


def _is_huge(value: object) -> bool:
    """Return True for integers beyond 64 bits: hexadecimal ones may be too long to be printed."""
    return isinstance(value, int) and not -_LARGEST_WHOLE <= value < _LARGEST_WHOLE


def _at(mark: Mark | None, problem: str) -> MarkedYAMLError:
    return MarkedYAMLError(problem=problem, problem_mark=mark)


def _problem(error: yaml.YAMLError) -> tuple[int | None, str]:
    """Return line (from 1) and description of a parser's error."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        problem = str(error.problem)
        if problem.startswith("but "):
            problem = f"{error.context}, {problem}"
        return error.problem_mark.line + 1, problem
    return None, str(error).splitlines()[0]


def _read_toml(path: Path, text: str) -> ConfigDocument:
    if _LONG_DOTTED_KEY.search(text):
        raise ConfigError(f"{path}: {_TOO_DEEP}")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at_line = re.search(r"\(at line (\d+)", str(error))
        place = f"{path}:{at_line[1]}" if at_line else str(path)
        raise ConfigError(f"{place}: {str(error).split(' (at ')[0]}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: {_TOO_DEEP}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from error
    if _is_deep(tree, MAX_DEPTH):
        raise ConfigError(f"{path}: {_TOO_DEEP}")
    if _holds_huge(tree):
        raise ConfigError(f"{path}: {_TOO_LARGE}")
    return _as_document(path, tree, _toml_lines(text))


def _is_deep(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        value = list(cast(dict[str, object], value).values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deep(item, levels - 1) for item in cast(list[object], value))


def _holds_huge(value: object) -> bool:
    if isinstance(value, dict):
        value = list(cast(dict[str, object], value).values())
    if isinstance(value, list):
        return any(_holds_huge(item) for item in cast(list[object], value))
    return _is_huge(value)


def _toml_lines(text: str) -> dict[str, int]:
    """Return the lines of `key = value` below their `[section]`; tomllib doesn't report them."""
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([\w.-]+)\]", line):
            section = f"{header[1]}."
            lines.setdefault(header[1], number)
        elif key := re.match(r"\s*([\w.-]+)\s*=", line):
            lines.setdefault(section + key[1], number)
    return lines
