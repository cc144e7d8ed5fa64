"""The command `demo`: the whole job on a clip that brings its own truth."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console

from vrmatte.cli.render import print_report, terminal_progress
from vrmatte.commands.run import matte_video
from vrmatte.commands.score import score_files
from vrmatte.demo.clip import write_clip
from vrmatte.errors import OutputError, output_error
from vrmatte.media.decode import read_frames, read_grey
from vrmatte.media.scan import scan_timeline
from vrmatte.media.source import open_source
from vrmatte.progress import Advanced, Finished, Observer, Started, ignore
from vrmatte.quality.truth.truth_metrics import TruthReport
from vrmatte.settings.config import Config
from vrmatte.settings.load import load_config
from vrmatte.sheets.picture import contact_sheet, write_png

DELIVERABLES = ["matte-lossless", "greenscreen", "alpha-packed"]
_SETTLING_FRAMES = 8
"""A recurrent network settles over its first frames; they don't count for the error."""


def demo_command(out: Path, engine: str, *, frames: int, eye_px: int, as_json: bool) -> None:
    """Render, matte, compare with the truth, say where to look."""
    overrides = {"matting.engine": engine, "output.deliver": DELIVERABLES}
    config = load_config(overrides=overrides).config
    clip, truth = out / "demo_LR_180.mp4", out / "demo_truth.mkv"
    with terminal_progress(quiet=as_json) as observer:
        _render(clip, truth, frames, eye_px, observer)
        report = matte_video(clip, out, config, observer=observer)
    matte = out / "demo_LR_180_matte.mkv"
    scores = score_files(matte, truth, skip=_SETTLING_FRAMES, every=0)
    picture = out / "demo.png"
    _draw(clip, matte, frames // 2, config, picture)
    if as_json:
        facts = json.loads(report.as_json())
        whole = scores.scores["whole"]
        facts["error"] = {"mad": whole.mad, "band_mad": whole.band_mad, "iou": whole.iou}
        typer.echo(json.dumps(facts, indent=1))
        return
    print_report(report)
    _say(scores, out, picture, report.engine)


def _render(clip: Path, truth: Path, frames: int, eye_px: int, observer: Observer) -> None:
    try:
        clip.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, clip.parent) from error
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
    source = open_source(clip, config.input)
    timeline = scan_timeline(source, ignore)
    frame = next(read_frames(source, timeline, index, index + 1))
    for at, (_, grey) in enumerate(read_grey(matte)):
        if at == index:
            write_png(contact_sheet(frame, grey), target)
            return
    raise OutputError(f"{matte}: has no frame {index}; run the demo again with another --out")


def _say(scores: TruthReport, out: Path, picture: Path, engine: str) -> None:
    console, whole = Console(), scores.scores["whole"]
    console.print(
        f"Against ground truth ({scores.scored} frames, engine {engine}): "
        f"IoU {whole.iou or 0:.3f}, MAD {whole.mad or 0:.1f}/1000, "
        f"at the edge {whole.band_mad or 0:.0f}/1000"
    )
    console.print(f"Look at   {picture} (source, matte, people over a plain background)")
    console.print(f"Headset   {out / 'demo_FISHEYE190_alpha.mp4'} (DeoVR, HereSphere: passthrough)")
    console.print(
        f"Editor    {out / 'demo_LR_180_greenscreen.mp4'} and {out / 'demo_LR_180_matte.mkv'}"
    )
