"""A copy of Robust Video Matting that runs with current PyAV versions and our encoder settings."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import ProcessUsage, WatchedProcess
from benchmarks.scope import Scope
from vrmatte.errors import ConfigError, VrmatteError

LIBRARIES = ("torch", "torchvision", "av", "pims", "PIL", "tqdm", "numpy")
CHECKPOINT = "rvm_mobilenetv3.pth"
ANSWER = "answer.json"
"""The file into which the measured scripts write their seconds."""
_WRITER = "inference_utils.py"
_PARTS = ("inference.py", _WRITER, "model")
_RATE = "add_stream('h264', rate=f'{frame_rate:.4f}')"
_BIT_RATE = "self.stream.bit_rate = bit_rate"
_SIZE = "self.stream.width = frames.size(3)\n        self.stream.height = frames.size(2)"
_NEW_RATE = "add_stream('{encoder}', rate=__import__('fractions').Fraction(str(frame_rate)))"
_NEW_SIZE = (
    "if not self.stream.codec_context.is_open: "
    "self.stream.width, self.stream.height = frames.size(3), frames.size(2)"
)
NOTES = (
    "the peer's converter runs from a copy with two fixes for current PyAV versions (frame rate "
    "as a fraction, size set before the encoder opens) and our encoder settings, not a bit rate",
)
RUNNER = """\
import json, os, sys, time
import torch
from inference import convert_video
from model import MattingNetwork

task = json.load(open(sys.argv[1]))
torch.manual_seed(0)
model = MattingNetwork("mobilenetv3").eval()
if task["checkpoint"]:
    model.load_state_dict(torch.load(task["checkpoint"], map_location="cpu"))
device = "cuda" if task["device"] != "cpu" and torch.cuda.is_available() else "cpu"
model = torch.jit.freeze(torch.jit.script(model.to(device)))
wall, cpu = time.perf_counter(), time.process_time()
convert_video(
    model, input_source=task["video"], downsample_ratio=task["ratio"], output_type="video",
    output_composition=task["com"], output_alpha=task["pha"], seq_chunk=1, progress=False,
    device=device, dtype=torch.float32,
)
answer = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
json.dump(answer, open(sys.argv[2], "w"))
"""
"""Calls the converter as its own command line does, and measures that call."""
MODEL_RUNNER = """\
import json, sys, time
import torch
from model import MattingNetwork

answer, eye_px, ratio, frames, asked = sys.argv[1:]
device = "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
model = MattingNetwork("mobilenetv3").eval().to(device)
image = torch.rand(1, 3, int(eye_px), int(eye_px), device=device)

def show(count, memory):
    for _ in range(count):
        _, _, *memory = model(image, *memory, float(ratio))
    if device == "cuda":
        torch.cuda.synchronize()
    return memory

with torch.no_grad():
    memory = show(1, [None] * 4)
    wall, cpu = time.perf_counter(), time.process_time()
    show(int(frames), memory)
    took = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
json.dump(took, open(answer, "w"))
"""
"""Runs the model, as the project publishes it, on one image repeatedly."""


def missing_libraries(python: str) -> list[str]:
    """Return the peer's libraries that this interpreter lacks.

    Raises:
        ConfigError: the interpreter can't be run.
    """
    asked = (
        "import importlib.util as u, json, sys; "
        "print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n) is None]))"
    )
    try:
        checked = subprocess.run(
            [python, "-c", asked, *LIBRARIES], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"--peer-python {python}: can't be run ({error}); give a Python interpreter"
        ) from error
    return json.loads(checked.stdout)


def copy_peer(checkout: Path, target: Path, encoder: str, options: Mapping[str, str]) -> None:
    """Copy the converter and fix the copy.

    Raises:
        ConfigError: `checkout` is not a checkout of Robust Video Matting.
        VrmatteError: its code differs from the version that the fixes are for.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for part in _PARTS:
        source = checkout / part
        if not source.exists():
            raise ConfigError(
                f"--peer {checkout}: has no {part}; give a checkout of RobustVideoMatting"
            )
        if source.is_dir():
            shutil.copytree(source, target / part)
        else:
            shutil.copy(source, target / part)
    writer = target / _WRITER
    text = writer.read_text("utf-8")
    for old, new in (
        (_RATE, _NEW_RATE.format(encoder=encoder)),
        (_BIT_RATE, f"self.stream.options = {dict(options)!r}"),
        (_SIZE, _NEW_SIZE),
    ):
        if text.count(old) != 1:
            raise VrmatteError(
                f"--peer {checkout}: {_WRITER} differs from the version the fixes are for ({old!r} "
                f"occurs {text.count(old)} times); use RobustVideoMatting as of 2024"
            )
        text = text.replace(old, new)
    writer.write_text(text, "utf-8")
    (target / "measured.py").write_text(RUNNER, "utf-8")


class PeerModel:
    """The peer's PyTorch model on the frames of one eye, in a process of its own."""

    def __init__(self, scope: Scope, checkout: Path) -> None:
        """Copy the peer.

        Raises:
            ConfigError: `checkout` is not a checkout of it.
        """
        self._scope = scope
        self._folder = (scope.out / "peer-model").absolute()
        copy_peer(checkout, self._folder, "libx264", {})
        (self._folder / "model_alone.py").write_text(MODEL_RUNNER, "utf-8")

    def run(self) -> ProcessUsage:
        """Measure `model_frames` frames, after one that isn't measured.

        Raises:
            VrmatteError: the process failed.
        """
        scope = self._scope
        asked = (scope.model_eye_px, scope.model_ratio, scope.model_frames, scope.device)
        command = (scope.peer_python, "model_alone.py", ANSWER, *map(str, asked))
        wall, cpu, usage = run_peer(command, self._folder, "the peer's model")
        return replace(usage, wall_seconds=wall, cpu_seconds=cpu)


def run_peer(command: Sequence[str], folder: Path, name: str) -> tuple[float, float, ProcessUsage]:
    """Run a command in the peer's copy that measures itself.

    Args:
        command: the command, which writes its seconds into the file `ANSWER`.
        folder: the copy.
        name: the command's name in messages.

    Returns:
        Wall and CPU seconds of its work, and the usage of the whole process.

    Raises:
        VrmatteError: it failed.
    """
    answer = folder / ANSWER
    answer.unlink(missing_ok=True)
    watched = WatchedProcess(command, folder / "log", folder)
    usage = watched.wait()
    if usage.exit_code != 0 or not answer.exists():
        raise VrmatteError(f"{name} failed with exit code {usage.exit_code}: {watched.last_output}")
    seconds = json.loads(answer.read_text("utf-8"))
    return seconds["wall_seconds"], seconds["cpu_seconds"], usage


def peer_model(scope: Scope) -> PeerModel | None:
    """Return the peer's model; None without a checkout or its libraries."""
    if scope.peer is None or missing_libraries(scope.peer_python):
        return None
    return PeerModel(scope, scope.peer)
