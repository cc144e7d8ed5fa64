"""Options and arguments that several commands share, and the settings that result from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from typer.models import OptionInfo

from vrmatte.deliverable_kinds import DeliverableName
from vrmatte.errors import ConfigError
from vrmatte.settings.choices import EngineName, PresetName

if TYPE_CHECKING:
    from vrmatte.settings.config import Config

Video = Annotated[Path, typer.Argument(metavar="INPUT", help="VR180 side-by-side video.")]
JobDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="--out of an earlier run.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", help="YAML or TOML file; repeatable, later files win."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE, e.g. processing.scale_factor=0.5; repeatable."),
]
Preset = Annotated[PresetName | None, typer.Option(help="Named set of settings.")]
Engine = Annotated[EngineName | None, typer.Option(help="Matting engine.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of others in the place of new ones.")
]
DELIVERABLES_HELP = f"Files to write, comma-separated: {', '.join(get_args(DeliverableName))}."


def parse_time(text: str) -> float:
    """Return the seconds of "12.5", "12.5s", "1:02.5" or "1:02:03.5".

    Raises:
        ConfigError: the text is not a time.
    """
    try:
        seconds = 0.0
        for field in text.removesuffix("s").split(":"):
            if not 0 <= float(field) < math.inf:
                raise ValueError("negative or infinite")
            seconds = seconds * 60 + float(field)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is not a time; accepted are 12.5, 12.5s, 1:02.5, 1:02:03.5"
        ) from error
    return seconds


def time_option(meaning: str) -> OptionInfo:
    """Declare an option that takes a time or a length."""
    return typer.Option(parser=_time_parameter, metavar="TIME", help=meaning)


def _time_parameter(text: str) -> float:
    try:
        return parse_time(text)
    except ConfigError as error:  # so that the message names the option
        raise typer.BadParameter(str(error)) from error


def split_names(text: str | None) -> list[str] | None:
    """Return the names of a comma-separated list."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """Settings of a command, and notices about settings that have no effect."""

    config: Config
    notices: tuple[str, ...]


def load_settings(
    files: Sequence[Path] | None,
    assignments: Sequence[str] | None,
    preset: str | None = None,
    overrides: Mapping[str, object] | None = None,
    earlier: Config | None = None,
) -> CommandSettings:
    """Merge the settings of a command line; `load_config` documents the order.

    Args:
        files: given with --config.
        assignments: given with --set.
        preset: given with --preset.
        overrides: values of other options by dotted key; None where the option was not given.
        earlier: settings of an earlier run, which all others override.

    Raises:
        ConfigError: a key or value is wrong.
    """
    from vrmatte.settings.load import EARLIER_RUN, load_config
    from vrmatte.settings.notices import notices

    resolved = load_config(
        files or (),
        assignments or (),
        preset,
        overrides,
        None if earlier is None else earlier.model_dump(mode="json"),
    )
    texts = (text for text in notices(resolved) if not text.startswith(EARLIER_RUN))
    return CommandSettings(resolved.config, tuple(texts))
