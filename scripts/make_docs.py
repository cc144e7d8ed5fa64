"""Writes docs/config.md from the models, so that page and program can't disagree.

`python scripts/make_docs.py` writes the page; with `--check` it writes nothing and fails if the
page is out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vrmatte.settings.choices import PRESETS
from vrmatte.settings.files import MAX_BYTES, MAX_DEPTH
from vrmatte.settings.keys import KEYS, SECTIONS, Key
from vrmatte.settings.notices import LIMITS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "config.md"

_LIMITS_LINK = "#keys-with-limits-in-this-version"

_HEAD = f"""\
# Settings

<!-- Written by scripts/make_docs.py from settings/config.py: change that, not this page. -->

Settings are taken from these places; a later one wins, key by key:

1. the defaults below,
2. a preset,
3. configuration files, in the order given,
4. `--set section.key=value`, the value being a YAML scalar or list,
5. other options of the command line.

`vrmatte config init` writes a file with every key to begin with. `vrmatte config show` prints the
settings that result from all places, and behind each key who set it.

Files are YAML (`.yaml`, `.yml`) or TOML (`.toml`) in UTF-8, at most {MAX_BYTES // 1000} kB and
{MAX_DEPTH} levels deep. In YAML, tags, anchors and repeated keys are refused. The faults of all
files are reported at once, each with its line, what the key takes, or the key probably meant.
Relative paths start at the working directory. `null` stands for "not set".
"""


def page() -> str:
    """The whole of docs/config.md."""
    parts = [_HEAD, *_presets(), *_sections(), *_limits()]
    return "\n".join(parts)


def _presets() -> Iterator[str]:
    keys = list(dict.fromkeys(key for preset in PRESETS.values() for key in preset))
    yield "## Presets\n"
    yield _table(
        ["preset", *(f"`{key}`" for key in keys)],
        (
            [f"`{name}`", *(_code(preset[key]) if key in preset else "default" for key in keys)]
            for name, preset in PRESETS.items()
        ),
    )


def _sections() -> Iterator[str]:
    for section, meaning in SECTIONS.items():
        yield f"## {section}\n\n{meaning}\n"
        yield _table(
            ["key", "takes", "default", "meaning"],
            (
                [f"`{key.name}`", key.accepted, _code(key.default), _meaning(key)]
                for key in KEYS.values()
                if key.section == section
            ),
        )


def _meaning(key: Key) -> str:
    has_limit = any(limit.key == key.path for limit in LIMITS)
    return f"{key.meaning} ([limits]({_LIMITS_LINK}))" if has_limit else key.meaning


def _limits() -> Iterator[str]:
    yield "## Keys with limits in this version\n"
    yield (
        "These keys are accepted, but can do less than they promise. A run that sets one of them\n"
        "to a value it can't honour says so before it begins.\n"
    )
    yield _table(["key", "what is said"], ([f"`{x.key}`", f"... {x.reason}"] for x in LIMITS))


def _code(value: object) -> str:
    return f"`{json.dumps(value)}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the page; 1 if a check finds it out of date."""
    parser = argparse.ArgumentParser(description="Write docs/config.md from the models.")
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    wants_check = parser.parse_args(arguments).check
    text = page()
    if not wants_check:
        PAGE.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE} is out of date: run python scripts/make_docs.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
