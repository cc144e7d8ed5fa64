"""`vrmatte config`: show settings, or begin a configuration file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vrmatte.cli.options import Assignments, ConfigFiles, Preset
from vrmatte.errors import ConfigError

app = typer.Typer(
    name="config", help="Show settings, or begin a configuration file.", no_args_is_help=True
)


@app.command()
def show(config: ConfigFiles = None, assign: Assignments = None, preset: Preset = None) -> None:
    """Print the settings a run would use, and the origin of each."""
    from vrmatte.settings.load import format_config, load_config

    typer.echo(format_config(load_config(config or (), assign or (), preset)), nl=False)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("vrmatte.yaml"),
) -> None:
    """Write a commented file, YAML or TOML, with every setting at its default."""
    from vrmatte.files import replace_text
    from vrmatte.settings.files import SUFFIXES
    from vrmatte.settings.load import starter_config, starter_toml

    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: accepted are names that end in {', '.join(SUFFIXES)}")
    if os.path.lexists(path):
        raise ConfigError(f"{path} exists already; name another file or remove it")
    replace_text(path, starter_toml() if path.suffix.lower() == ".toml" else starter_config())
    typer.echo(f"wrote {path}")
