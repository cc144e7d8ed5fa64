"""`vrmatte`: all commands, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from vrmatte.cli.stopping import StopNow, print_error, stop_at_once
from vrmatte.deliverable_kinds import DeliverableName
from vrmatte.errors import EXIT_CODES, ConfigError, VrmatteError, one_line
from vrmatte.interpreter import check_interpreter
from vrmatte.platform_support import handled_stop_signals, use_utf8_output, without_path_prefix

_EXIT_HELP = "Exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES.items()) + "."

app = typer.Typer(
    name="vrmatte",
    help="VR180 stereo video of people in, verified mattes out.",
    epilog=_EXIT_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Show or begin a configuration.", no_args_is_help=True)
models_app = typer.Typer(help="Network weights: list, fetch, import, check.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(models_app, name="models")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", help="YAML or TOML file; repeatable, later ones win."),
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="key=value, e.g. processing.scale_factor=0.5")
]
Preset = Annotated[str | None, typer.Option(help="draft, balanced or best.")]
_DELIVERABLES = get_args(DeliverableName)


@app.command()
def run(
    video: Annotated[
        Path | None, typer.Argument(metavar="INPUT", help="VR180 side-by-side video.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory for the files.")
    ] = None,
    config: ConfigFiles = None,
    assign: Assignments = None,
    preset: Preset = None,
    engine: Annotated[str | None, typer.Option(help="auto, rvm or selfie.")] = None,
    deliver: Annotated[
        str | None,
        typer.Option(help=f"Files to make, in one pass: comma list of {', '.join(_DELIVERABLES)}."),
    ] = None,
    start: Annotated[str | None, typer.Option(help="Seconds or h:mm:ss to begin at.")] = None,
    end: Annotated[str | None, typer.Option(help="Seconds or h:mm:ss to stop before.")] = None,
    on_damage: Annotated[
        str | None,
        typer.Option(help="Where frames can't be decoded: stop, hold the last good one, partial."),
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Start over; earlier work is set aside.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try chunks again that failed too often.")
    ] = False,
    sample: Annotated[
        str | None, typer.Option(help="Make spread samples, 10s in all, and estimate the whole.")
    ] = None,
    json: Json = False,
) -> None:
    """Matte a video; in an output directory of an earlier run, continue it."""
    from vrmatte.cli.run import Again, run_command
    from vrmatte.cli.sample import sample_command

    options: dict[str, Any] = {
        "input.video_path": video,
        "output.path": out,
        "matting.engine": engine,
        "output.deliver": deliver,
        "input.start": start,
        "input.end": end,
        "input.on_damage": on_damage,
    }
    if sample is not None:
        sample_command(config or [], assign or [], preset, options, sample, as_json=json)
        return
    again = Again(fresh=fresh, retry_failed=retry_failed)
    run_command(config or [], assign or [], preset, options, again, as_json=json)


@app.command()
def render(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="--out of an earlier run; all its videos.")
    ],
    deliver: Annotated[
        str, typer.Option(help=f"Files to make: comma list of {', '.join(_DELIVERABLES)}.")
    ],
    config: ConfigFiles = None,
    assign: Assignments = None,
    json: Json = False,
) -> None:
    """Make further files from the mattes of an earlier run; needs no network and no weights.

    The run's settings hold, but for what --config and --set say of files: colour, edges, eyes,
    projection, encoders. What would change the mattes is refused.
    """
    from vrmatte.cli.run import render_command

    render_command(directory, deliver, config or [], assign or [], as_json=json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory for the files.")] = Path(
        "vrmatte-demo"
    ),
    engine: Annotated[str, typer.Option(help="auto, rvm or selfie.")] = "auto",
    frames: Annotated[int, typer.Option(min=8, help="Length of the clip.")] = 48,
    eye: Annotated[int, typer.Option(min=256, help="Size of an eye in pixels.")] = 768,
    json: Json = False,
) -> None:
    """Render a VR180 clip with exact truth, matte it, and tell the error. Needs no input."""
    from vrmatte.cli.demo import demo_command

    demo_command(out, engine, frames=frames, eye_px=eye, as_json=json)


@app.command()
def scout(
    video: Annotated[Path, typer.Argument(metavar="INPUT", help="VR180 side-by-side video.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory for the files.")],
    config: ConfigFiles = None,
    assign: Assignments = None,
    json: Json = False,
) -> None:
    """Find the people of a video: writes NAME_people.json, to be edited, and a contact sheet."""
    from vrmatte.cli.scout import scout_command

    scout_command(video, out, config or [], assign or [], as_document=json)


@app.command()
def probe(
    video: Annotated[Path, typer.Argument(metavar="INPUT", help="Any video.")],
    count: Annotated[bool, typer.Option(help="Decode everything and count frames.")] = False,
    json: Json = False,
) -> None:
    """Tell what a video is: size, rate, colour, sound, layout, projection."""
    from vrmatte.cli.inspect import probe_command

    probe_command(video, count=count, as_json=json)


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="--out of an earlier run.")],
    json: Json = False,
) -> None:
    """Recheck every chunk and file of a finished run against manifest and source."""
    from vrmatte.cli.inspect import verify_command

    verify_command(directory, as_json=json)


@app.command()
def clean(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="--out of an earlier run.")],
    mattes: Annotated[
        bool, typer.Option("--mattes", help="Mattes too: `render` needs them, `verify` for alpha.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All but the finished files; no `verify` then.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    json: Json = False,
) -> None:
    """Free what a run left behind: half-written files, work set aside, chunks no file needs.

    Finished files stay, and so does what an unfinished run goes on from.
    """
    from vrmatte.cli.clean import clean_command

    clean_command(directory, mattes=mattes, everything=everything, dry_run=dry_run, as_json=json)


@app.command()
def doctor(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Directory whose disk is looked at.")
    ] = Path(),
    size: Annotated[str, typer.Option(help="Frame size codecs are tried at.")] = "6144x3072",
    json: Json = False,
) -> None:
    """Tell what this machine can do: networks, codecs, weights, memory, disk; with advice.

    Exit code 1 where a run with default settings can't work here.
    """
    from vrmatte.cli.doctor import doctor_command

    doctor_command(out, size, as_json=json)


@app.command()
def preview(
    video: Annotated[Path, typer.Argument(metavar="INPUT", help="VR180 side-by-side video.")],
    at: Annotated[str, typer.Option(help="Seconds or h:mm:ss of the frame.")] = "0",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="PNG file to write.")] = None,
    config: ConfigFiles = None,
    assign: Assignments = None,
    preset: Preset = None,
    engine: Annotated[str | None, typer.Option(help="auto, rvm or selfie.")] = None,
    json: Json = False,
) -> None:
    """Matte one frame as a run would and draw it: people found, matte, people cut out."""
    from vrmatte.cli.preview import preview_command

    options: dict[str, Any] = {"matting.engine": engine}
    preview_command(video, at, out, config or [], assign or [], preset, options, as_json=json)


@app.command()
def score(
    matte: Annotated[
        Path, typer.Argument(metavar="PRED", help="Matte video, file with alpha, or PNG folder.")
    ],
    truth: Annotated[
        Path, typer.Argument(metavar="TRUTH", help="The exact matte, of the same frames.")
    ],
    trimap: Annotated[
        Path | None, typer.Option(help="Grey video; what is neither black nor white is unknown.")
    ] = None,
    skip: Annotated[int, typer.Option(min=0, help="Frames to leave out at the start.")] = 0,
    every: Annotated[
        int, typer.Option(min=0, help="Conn and MESSDdt, which are slow, of every N-th; 0: none.")
    ] = 1,
    read_as: Annotated[
        str, typer.Option("--as", help="What PRED is: auto, matte or alpha-packed.")
    ] = "auto",
    json: Json = False,
) -> None:
    """Tell how far a matte is from exact truth, by the field's metrics; docs/quality.md."""
    from vrmatte.cli.score import matte_kind, score_command

    kind = matte_kind(read_as)
    score_command(matte, truth, trimap, skip=skip, every=every, kind=kind, as_json=json)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="--out of a run, or a matte video.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another, of the same frames.")],
    picture: Annotated[
        Path | None, typer.Option(help="PNG file: the frames that differ most.")
    ] = None,
    json: Json = False,
) -> None:
    """Tell how two runs differ: mattes, settings, speed, files, agreement of the eyes."""
    from vrmatte.cli.score import compare_command

    compare_command(a, b, picture, as_json=json)


@config_app.command("show")
def config_show(
    config: ConfigFiles = None, assign: Assignments = None, preset: Preset = None
) -> None:
    """Print the settings a run would use, and where each comes from."""
    from vrmatte.settings.load import format_config, load_config

    typer.echo(format_config(load_config(config or [], assign or [], preset)), nl=False)


@config_app.command("init")
def config_init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("vrmatte.yaml"),
) -> None:
    """Write a commented file with every setting at its default."""
    from vrmatte.files import replace_text
    from vrmatte.settings.load import starter_config

    if os.path.lexists(path):
        raise ConfigError(f"{path} exists already; name another file or remove it")
    replace_text(path, starter_config())
    typer.echo(f"wrote {path}")


@models_app.command("list")
def models_list(json: Json = False) -> None:
    """List known weights: size, licence, whether they are here."""
    from vrmatte.cli.models import list_command

    list_command(as_json=json)


@models_app.command("pull")
def models_pull(
    names: Annotated[list[str] | None, typer.Argument(help="Files; none: the defaults.")] = None,
) -> None:
    """Fetch weights into the cache and check their digests."""
    from vrmatte.cli.models import pull_command

    pull_command(names or [])


@models_app.command("import")
def models_import(
    file: Annotated[Path, typer.Argument(help="A weights file got by other means.")],
) -> None:
    """Take a weights file into the cache; it is recognised by its digest."""
    from vrmatte.cli.models import import_command

    import_command(file)


@models_app.command("verify")
def models_verify(json: Json = False) -> None:
    """Check the digests of all weights on this machine."""
    from vrmatte.cli.models import verify_command

    verify_command(as_json=json)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"vrmatte {version('vrmatte')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """VR180 stereo video of people in, verified mattes out."""


def main() -> None:
    """Run the command line; the exit codes are those of `vrmatte.errors`."""
    use_utf8_output()
    for number in handled_stop_signals():
        signal.signal(number, stop_at_once)
    try:
        check_interpreter()
        app(standalone_mode=True)
    except VrmatteError as error:
        print_error(without_path_prefix(one_line(str(error))))
        sys.exit(error.exit_code)
    except StopNow as stop:
        print_error(str(stop))
        sys.exit(stop.exit_code)
    except BrokenPipeError:
        sys.exit(1)
