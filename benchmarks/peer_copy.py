"""A copy of Robust Video Matting's converter that runs with today's PyAV and with our encoder."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from vrmatte.errors import ConfigError, VrmatteError

LIBRARIES = ("torch", "torchvision", "av", "pims", "PIL", "tqdm", "numpy")
CHECKPOINT = "rvm_mobilenetv3.pth"
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
    "the peer's converter runs from a copy with two repairs for today's PyAV (frame rate as a "
    "fraction, size set before the encoder opens) and our encoder settings instead of a bit rate",
)
RUNNER = """\
import json, os, sys, time
import torch
from inference import convert_video
from model import MattingNetwork

told = json.load(open(sys.argv[1]))
torch.manual_seed(0)
model = MattingNetwork("mobilenetv3").eval()
if told["checkpoint"]:
    model.load_state_dict(torch.load(told["checkpoint"], map_location="cpu"))
device = "cuda" if told["device"] != "cpu" and torch.cuda.is_available() else "cpu"
model = torch.jit.freeze(torch.jit.script(model.to(device)))
wall, cpu = time.perf_counter(), time.process_time()
convert_video(
    model, input_source=told["video"], downsample_ratio=told["ratio"], output_type="video",
    output_composition=told["com"], output_alpha=told["pha"], seq_chunk=1, progress=False,
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
picture = torch.rand(1, 3, int(eye_px), int(eye_px), device=device)

def show(count, memory):
    for _ in range(count):
        _, _, *memory = model(picture, *memory, float(ratio))
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
"""Shows the model, as the project publishes it, one picture again and again."""


def missing_libraries(python: str) -> list[str]:
    """What the peer needs and this interpreter lacks.

    Raises:
        ConfigError: there is no such interpreter.
    """
    asked = (
        "import importlib.util as u, json, sys; "
        "print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n) is None]))"
    )
    try:
        told = subprocess.run(
            [python, "-c", asked, *LIBRARIES], capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"--peer-python {python}: can't be run ({error}); give a Python interpreter"
        ) from error
    return json.loads(told.stdout)


def copy_peer(checkout: Path, target: Path, encoder: str, options: Mapping[str, str]) -> None:
    """Copy and repair the converter.

    Raises:
        ConfigError: that is no such checkout.
        VrmatteError: its text is another than the repairs are for.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for part in _PARTS:
        found = checkout / part
        if not found.exists():
            raise ConfigError(
                f"--peer {checkout}: has no {part}; give a checkout of RobustVideoMatting"
            )
        if found.is_dir():
            shutil.copytree(found, target / part)
        else:
            shutil.copy(found, target / part)
    writer = target / _WRITER
    text = writer.read_text("utf-8")
    for old, new in (
        (_RATE, _NEW_RATE.format(encoder=encoder)),
        (_BIT_RATE, f"self.stream.options = {dict(options)!r}"),
        (_SIZE, _NEW_SIZE),
    ):
        if text.count(old) != 1:
            raise VrmatteError(
                f"--peer {checkout}: {_WRITER} is another than the repairs are for ({old!r} is "
                f"there {text.count(old)} times); use RobustVideoMatting as of 2024"
            )
        text = text.replace(old, new)
    writer.write_text(text, "utf-8")
    (target / "measured.py").write_text(RUNNER, "utf-8")
