"""Frames per second and memory of the following networks at their real size, with random weights.

    python scripts/measure_sam2.py --frames 600 --people 1 3 --models sam2.1_hiera_tiny

Speed and memory hang on the shapes, not on what was learned, so no download is needed. Prints a
table; on a GPU memory is PyTorch's peak on it, on the CPU that of the process. The slope is by how
much more is allocated at the end than after the first tenth, per frame: it must be zero.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
import transformers

from vrmatte.masks.sam2_loading import network_settings
from vrmatte.masks.sam2_models import MASK_MODELS
from vrmatte.masks.sam2_network import Sam2Network
from vrmatte.masks.sam2_source import Sam2Source
from vrmatte.masks.source import Prompt

PICTURE_PX = 1024
REMEMBERED = 16
"""Pictures after which nothing more is added to a memory."""


def main() -> None:
    """Measure what is asked for, one line each."""
    known = [name for name, model in MASK_MODELS.items() if model.backbone is not None]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=known, default=known)
    parser.add_argument("--people", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--fp32", action="store_true", help="on a GPU, without bfloat16")
    asked = parser.parse_args()
    place = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}, {place}\n")
    print("| model | people | frames per second | peak memory | slope per frame |")
    print("| --- | --- | --- | --- | --- |")
    for name in asked.models:
        for people in asked.people:
            fps, peak_bytes, slope_bytes = measured(name, people, asked.frames, not asked.fp32)
            peak = f"{peak_bytes / 2**20:.0f} MiB"
            slope = "too few frames" if slope_bytes is None else f"{slope_bytes:.0f} B"
            print(f"| {name} | {people} | {fps:.2f} | {peak} | {slope} |", flush=True)


def measured(name: str, people: int, frames: int, half: bool) -> tuple[float, int, float | None]:
    """Frames per second, peak bytes, and bytes added per frame once memory is full."""
    on_gpu = torch.cuda.is_available()
    torch.manual_seed(0)
    about = MASK_MODELS[name]
    model = transformers.Sam2VideoModel(network_settings(about, Path(name) / "model.safetensors"))
    network = Sam2Network(model.to("cuda" if on_gpu else "cpu"), about, half=half and on_gpu)
    source = Sam2Source(name, network)
    boxes = [(60.0 + 300 * at, 100.0, 340.0 + 300 * at, 1000.0) for at in range(people)]
    prompts = [Prompt(at + 1, 0, box) for at, box in enumerate(boxes)]
    random = np.random.default_rng(0)
    picture = random.random((1, 3, PICTURE_PX, PICTURE_PX), dtype=np.float32)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    begin = max(REMEMBERED, frames // 10)
    began, full_bytes = time.perf_counter(), 0
    for at in range(frames):
        if at == begin:  # what is slow once, at the start, is no part of the speed
            began, full_bytes = time.perf_counter(), _held_bytes(source)
        source.masks("view", np.roll(picture, at, axis=3), prompts if at == 0 else ())
    seconds = time.perf_counter() - began
    if frames <= begin:
        return frames / seconds, _peak_bytes(), None
    counted = frames - begin
    grown_bytes = _held_bytes(source) - full_bytes
    return counted / seconds, _peak_bytes(), grown_bytes / counted


def _held_bytes(source: Sam2Source) -> int:
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated()
    return sum(array.nbytes for name, array in source.state().items() if "boxes" not in name)


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
