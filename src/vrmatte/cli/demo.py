"""`vrmatte demo`: a complete job on a rendered clip whose exact matte is known."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from vrmatte.cli.options import Engine, Json, load_settings
from vrmatte.cli.stopping import end_stalled_process
from vrmatte.cli.terminal import print_json, print_path, print_report, terminal_progress
from vrmatte.errors import OutputError
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore

if TYPE_CHECKING:
    from vrmatte.quality.truth.truth_metrics import TruthReport
    from vrmatte.settings.config import Config

app = typer.Typer()
DELIVERABLES = ["matte-lossless", "greenscreen", "alpha-packed"]
_SETTLING_FRAMES = 8
"""A recurrent network settles over its first frames; they are not scored."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory for the files.")] = Path(
        "vrmatte-demo"
    ),
    engine: Engine = None,
    frames: Annotated[int, typer.Option(min=8, help="Length of the clip.")] = 48,
    eye: Annotated[int, typer.Option(min=256, help="Size of an eye in pixels.")] = 768,
    json: Json = False,
) -> None:
    """Render a VR180 clip, matte it, and measure the error against its exact matte."""
    from vrmatte.commands.run import matte_video
    from vrmatte.commands.score import score_files

    overrides = {"matting.engine": engine, "output.deliver": DELIVERABLES}
    config = load_settings(None, None, None, overrides).config
    clip, truth = out / "demo_LR_180.mp4", out / "demo_truth.mkv"
    matte, sheet = out / "demo_LR_180_matte.mkv", out / "demo.png"
    with terminal_progress(quiet=json) as observer:
        _render(clip, truth, frames, eye, observer)
        report = matte_video(clip, out, config, observer=observer, on_stall=end_stalled_process)
        scores = score_files(matte, truth, skip=_SETTLING_FRAMES, every=0, observer=observer)
    _draw(clip, matte, frames // 2, config, sheet)
    if json:
        whole = scores.scores["whole"]
        error = {"mad": whole.mad, "band_mad": whole.band_mad, "iou": whole.iou}
        print_json({**json_format.loads(report.as_json()), "error": error})
        return
    print_report(report)
    _print_scores(scores, report.engine)
    print_path("Sheet    ", f"{sheet} (source, matte, people over a plain background)")
    print_path("Headset  ", f"{out / 'demo_FISHEYE190_alpha.mp4'} (DeoVR, HereSphere: passthrough)")
    print_path("Editor   ", f"{out / 'demo_LR_180_greenscreen.mp4'} and {matte}")


def _render(clip: Path, truth: Path, frames: int, eye_px: int, observer: Observer) -> None:
    from vrmatte.demo.clip import write_clip
    from vrmatte.files import make_folder

    make_folder(clip.parent)
    observer(Started("render", frames, clip.name))
    write_clip(
        clip,
        truth,
        eye_px=eye_px,
        frames=frames,
        on_frame=lambda done: observer(Advanced("render", done)),
    )
    observer(Finished("render"))


def _draw(clip: Path, matte: Path, index: int, config: Config, target: Path) -> None:
    from vrmatte.media.decode import read_frames, read_grey
    from vrmatte.media.scan import scan_timeline
    from vrmatte.media.source import open_source
    from vrmatte.sheets.picture import contact_sheet, write_png

    source = open_source(clip, config.input)
    frame = next(read_frames(source, scan_timeline(source, ignore), index, index + 1))
    for number, (_, grey) in enumerate(read_grey(matte)):
        if number == index:
            write_png(contact_sheet(frame, grey), target)
            return
    raise OutputError(f"{matte}: has no frame {index}; run the demo again with another --out")


def _print_scores(scores: TruthReport, engine: str) -> None:
    whole = scores.scores["whole"]
    Console().print(
        f"Against the exact matte ({scores.scored} frames, engine {engine}): "
        f"IoU {whole.iou or 0:.3f}, MAD {whole.mad or 0:.1f}/1000, "
        f"at the edge {whole.band_mad or 0:.0f}/1000"
    )
