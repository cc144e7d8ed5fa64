"""`vrmatte`: finds the module of a command, and turns errors into one line and an exit code."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

import vrmatte
from vrmatte.cli.stopping import StopNow, print_error, stop_at_once
from vrmatte.errors import EXIT_CODES, ConfigError, VrmatteError, one_line
from vrmatte.platform_support import (
    handled_stop_signals,
    interpreter_fault,
    use_utf8_output,
    without_path_prefix,
)

COMMANDS = {
    "run": "run",
    "render": "render",
    "demo": "demo",
    "scout": "scout",
    "preview": "preview",
    "probe": "inspect",
    "verify": "inspect",
    "clean": "clean",
    "doctor": "doctor",
    "score": "score",
    "compare": "score",
    "config": "config",
    "models": "models",
}
"""Each command and the module in this folder that defines it; imported when first needed."""

_UsageError: Any = typer.BadParameter.__base__
"""The base of errors in options and arguments; Typer's copy of click, which has it, is private."""


class _CommandGroup(TyperGroup):
    """All commands; imports the module of one when it is run or shown in the help."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name; None: there is none."""
        if cmd_name not in COMMANDS:
            return None
        group = get_group(import_module(f"vrmatte.cli.{COMMANDS[cmd_name]}").app)
        return group.commands.get(cmd_name, group)


app = typer.Typer(
    name="vrmatte",
    cls=_CommandGroup,
    help="Turn VR180 stereo video of people into verified mattes.",
    epilog="Exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES.items()) + ".",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"vrmatte {vrmatte.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; the exit codes are those of `vrmatte.errors`."""
    use_utf8_output()
    for number in handled_stop_signals():
        signal.signal(number, stop_at_once)
    try:
        if fault := interpreter_fault():
            raise ConfigError(fault)
        sys.exit(app(standalone_mode=False))
    except _UsageError as error:
        if text := _usage_message(error):  # none where the help was shown instead
            print_error(text)
        sys.exit(error.exit_code)
    except VrmatteError as error:
        print_error(without_path_prefix(one_line(str(error))))
        sys.exit(error.exit_code)
    except StopNow as stop:
        print_error(str(stop))
        sys.exit(stop.exit_code)
    except BrokenPipeError:
        sys.exit(1)


def _usage_message(error: Any) -> str:
    text = one_line(error.format_message()).replace("Value error, ", "").rstrip(".")
    return text and f"{text}; see '{error.ctx.command_path if error.ctx else 'vrmatte'} --help'"
