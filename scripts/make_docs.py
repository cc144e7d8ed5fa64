"""Write docs/config.md from the models, so that page and program can't disagree.

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

_LIMITS_LINK = "#keys-that-may-have-no-effect"

_HEAD = f"""\
# Settings

<!-- Written by scripts/make_docs.py from settings/config.py: change that, not this page. -->

Settings come from these sources; a later one wins, key by key:

1. the defaults below,
2. a preset,
3. configuration files, in the order given,
4. `--set section.key=value`, the value being a YAML scalar or list,
5. other options of the command line.

`vrmatte config init` writes a file to start from, with every key. `vrmatte config show` prints the
settings that result from all sources, with the origin of each key.

Files are YAML (`.yaml`, `.yml`) or TOML (`.toml`) in UTF-8, at most {MAX_BYTES // 1000} kB and
{MAX_DEPTH} levels deep. In YAML, tags, anchors and repeated keys are refused. The errors of all
files are reported at once, each with its line, the values that the key accepts, or the key that was
probably meant. Relative paths start at the working directory. `null` means "not set".
"""


def page() -> str:
    """Return the content of docs/config.md."""
    parts = [_HEAD, *_presets(), *_sections(), *_limits(), *_deprecated()]
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
                if key.section == section and not key.is_deprecated
            ),
        )


def _meaning(key: Key) -> str:
    has_limit = any(limit.key == key.path for limit in LIMITS)
    return f"{key.meaning} ([limits]({_LIMITS_LINK}))" if has_limit else key.meaning


def _limits() -> Iterator[str]:
    yield "## Keys that may have no effect\n"
    yield (
        "The effect of these keys depends on other keys or on the device. If a key that was set\n"
        "has no effect, a notice says so before the run begins.\n"
    )
    yield _table(["key", "notice"], ([f"`{x.key}`", f"... {x.reason}"] for x in LIMITS))


def _deprecated() -> Iterator[str]:
    yield "## Deprecated keys\n"
    yield "Files with these keys still load, but the keys have no effect.\n"
    keys = (key for key in KEYS.values() if key.is_deprecated)
    yield _table(["key", "takes", "reason"], ([f"`{x.path}`", x.accepted, x.meaning] for x in keys))


def _code(value: object) -> str:
    return f"`{json.dumps(value)}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main(arguments: Sequence[str] | None = None, target: Path = PAGE) -> int:
    """Write or check the page; return 1 if the check fails."""
    parser = argparse.ArgumentParser(description="Write docs/config.md from the models.")
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    wants_check = parser.parse_args(arguments).check
    text = page()
    if not wants_check:
        target.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return 0
    print(f"{target} is out of date: run python scripts/make_docs.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
