"""Memory runs out: the chunk is made again with something given up, and no frame is lost."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.faults import around
from support.media.media_fixtures import write_clip
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import ChunkError, VrmatteError
from vrmatte.jobs.fallbacks import memory_shortage
from vrmatte.progress import Advanced, Notice

FRAMES, CHUNK_FRAMES = 20, 8
GPU = "the network failed on CUDAExecutionProvider: Failed to allocate memory for requested buffer"


class Machine:
    """What the engines of a run were opened with, and how often memory ran out."""

    def __init__(self) -> None:
        self.opened: list[tuple[bool, str]] = []
        self.failures = 0

    def run_out(self, error: Exception) -> None:
        self.failures += 1
        raise error


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "clip_LR_180.mp4"
    write_clip(path, frames=FRAMES)
    return path


@pytest.fixture
def run(clip, tmp_path, monkeypatch):
    """Run the clip with an engine that fails as told; returns files, notices, frames told."""

    def run(
        name,
        fails=None,
        deliver=("matte-lossless", "greenscreen"),
        retry_failed=False,
        **processing,
    ):
        machine = Machine()

        used = None

        def load(choice, config, *_):
            nonlocal used
            used = config
            machine.opened.append((config.processing.parallel_eyes, config.hardware.device))

        def infer(engine, view, pictures):
            if fails:
                fails(machine, used, engine, pictures)

        tree = {
            "processing": {"chunk_size": CHUNK_FRAMES, "overlap_frames": 3, **processing},
            "output": {"deliver": deliver, "encoder": "software"},
        }
        done, said = [], []

        def observer(event):
            if isinstance(event, Advanced) and event.stage == "matte":
                done.append(event.done)
            elif isinstance(event, Notice):
                said.append(event.text)

        out = tmp_path / name
        config = brightness_config(MATTES_ALONE, tree)
        with monkeypatch.context() as patch:
            around(patch, "vrmatte.jobs.chunks.load_engine", load)
            around(patch, "vrmatte.matting.engines.brightness.BrightnessEngine.infer", infer)
            matte_video(clip, out, config, retry_failed=retry_failed, observer=observer)
        return machine, digests(out), [s for s in said if "ran out" in s], done

    return run


def digests(folder: Path) -> dict[str, str]:
    files = sorted((*folder.glob("*.mp4"), *folder.glob("*.mkv")))
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def undisturbed(run):
    return run("undisturbed")[1]


def once_in_the_middle(error):
    """Fails a single time, when the eleventh frame is shown (with those a view settles on)."""
    seen = 0

    def fails(machine, config, engine, pictures):
        nonlocal seen
        seen += 1
        if seen == 14:
            machine.run_out(error)

    return fails


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 54.0 MiB for an array"),
        RuntimeError("std::bad_alloc"),
        VrmatteError("the network failed on CPUExecutionProvider: bad allocation"),
    ],
)
def test_a_chunk_is_made_again_and_equals_an_undisturbed_one(run, undisturbed, error):
    machine, files, said, done = run("out", once_in_the_middle(error))
    assert machine.failures == 1
    assert files == undisturbed
    assert done == list(range(1, FRAMES + 1))
    assert len(said) == 1
    assert said[0].startswith("memory ran out in chunk 1: from here on files are encoded one")


def test_other_errors_are_not_taken_for_it(run, undisturbed):
    """The chunk is tried again, but nothing is given up for it."""
    _, files, said, _ = run("out", once_in_the_middle(VrmatteError("something else")))
    assert (files, said) == (undisturbed, [])


def test_eyes_come_first_where_they_are_run_together(run, undisturbed):
    def fails(machine, config, engine, pictures):
        if config.processing.parallel_eyes:
            machine.run_out(VrmatteError(GPU))

    machine, files, said, _ = run("out", fails, parallel_eyes=True)
    assert machine.opened == [(True, "auto"), (False, "auto")]
    assert files == undisturbed
    assert said == [
        "GPU memory ran out in chunk 0: from here on the eyes are matted one after the other"
    ]


def test_a_gpu_that_is_short_hands_over_to_the_cpu(run, undisturbed):
    def fails(machine, config, engine, pictures):
        if config.hardware.device != "cpu" and "eye-age" in engine.state():
            machine.run_out(VrmatteError(GPU))

    machine, files, said, done = run("out", fails)
    assert machine.opened == [(False, "auto"), (False, "cpu")]
    assert files == undisturbed
    assert done == list(range(1, FRAMES + 1))
    assert said == ["GPU memory ran out in chunk 0: from here on networks run on the CPU, slower"]


def test_without_leave_the_scale_stays_and_finished_chunks_are_kept(run, undisturbed):
    seen = 0

    def fails(machine, config, engine, pictures):
        nonlocal seen
        seen += 1
        if seen > 13:
            machine.run_out(MemoryError())

    with pytest.raises(ChunkError, match=r"chunk 1 .*: memory ran out .*allow_smaller_scale"):
        run("out", fails)
    _, files, _, done = run("out", retry_failed=True)
    assert files == undisturbed
    assert done[0] == CHUNK_FRAMES, "the first chunk was there already"


def too_large(width_px):
    def fails(machine, config, engine, pictures):
        if pictures.shape[3] > width_px and engine.state().get("eye-age", [0])[0] > 10:
            machine.run_out(MemoryError())

    return fails


def test_with_leave_the_scale_shrinks_and_keys_say_so(run, undisturbed, tmp_path):
    """From the second chunk on; the first has no eleven pictures behind it."""
    fails = too_large(40)
    machine, files, said, done = run("out", fails, allow_smaller_scale=True)
    assert len(files) == 2
    assert files.keys() == undisturbed.keys()
    assert files != undisturbed
    assert done == list(range(1, FRAMES + 1))
    assert [text.rpartition(" on ")[2] for text in said][-1] == (
        "the network's input is 49% as wide as planned"
    )
    assert all("chunk 1" in text or "chunk 0" in text for text in said)
    failed_before = machine.failures
    assert failed_before >= 2
    # Run again, nothing is made: what memory forced is remembered, and what was promised kept.
    machine, again, said, _ = run("out", fails, allow_smaller_scale=True)
    assert (machine.opened, again, said) == ([], files, [])
    assert [piece.problem for piece in verify_output(tmp_path / "out")] == [None] * 3
    report = json.loads((tmp_path / "out" / "clip_LR_180_report.json").read_text())
    assert [(e["first_chunk"], e["scale"]) for e in report["downgraded"]] == [(1, 0.49)]
    # Another file is made of the same mattes.
    machine, more, _, _ = run(
        "out", fails, ("matte-lossless", "alpha-packed"), allow_smaller_scale=True
    )
    assert machine.opened == []
    assert files.items() <= more.items()
    # Leave is taken back: everything is made at full size, where memory is there for it.
    _, whole, _, _ = run("out")
    assert undisturbed.items() <= whole.items()


@pytest.mark.parametrize(
    ("said", "shortage"),
    [
        (GPU, "device"),
        ("CUDA failure 2: out of memory ; GPU=0", "device"),
        ("CUDNN_STATUS_ALLOC_FAILED", "device"),
        ("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc", "host"),
        ("OpenCV(4.11) Failed to allocate 56623104 bytes", "host"),
        ("[Errno 12] Cannot allocate memory: 'clip.mp4'", "host"),
        ("no space left on device", None),
        ("the network failed on CUDAExecutionProvider: invalid shape", None),
    ],
)
def test_how_a_shortage_is_told_from_other_failures(said, shortage):
    assert memory_shortage(RuntimeError(said)) == shortage
    error = VrmatteError("the chunk failed")
    error.__cause__ = RuntimeError(said)
    assert memory_shortage(error) == shortage
