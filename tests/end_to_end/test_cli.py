"""The command line: what it prints, for people and for programs, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.brightness import BRIGHTNESS_OPTIONS
from support.faults import Fault
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip
from vrmatte.errors import EXIT_CODES

HEAVY = ("av", "cv2", "numba", "numpy", "onnx", "onnxruntime", "pydantic")


def vrmatte(tmp_path: Path, *arguments: object, code: int = 0) -> JobProcess:
    words = [str(argument) for argument in arguments]
    job = JobProcess([*words, *(BRIGHTNESS_OPTIONS if words[0] == "run" else ())], tmp_path / "log")
    assert job.wait() == code, job.errors
    return job


def as_json(tmp_path: Path, *arguments: object, code: int = 0) -> Any:
    """The one document on standard output; for programs there must be nothing beside it."""
    job = vrmatte(tmp_path, *arguments, "--json", code=code)
    if code == 0:
        assert job.errors == ""
    return json.loads(job.output)


@pytest.fixture
def clip(tmp_path) -> Path:
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, frames=12, audio=("aac",))
    return path


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['vrmatte', '--help']\n"
        "from vrmatte.cli.main import main\n"
        "try: main()\n"
        f"finally: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Usage" in done.stdout


def test_a_command_imports_no_other_command():
    code = (
        "import sys; sys.argv = ['vrmatte', 'run', '--help']\n"
        "from vrmatte.cli.main import COMMANDS, main\n"
        "try: main()\n"
        "finally: print([m for m in COMMANDS.values() if f'vrmatte.cli.{m}' in sys.modules], "
        "file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['run']"


def test_help_tells_every_exit_code(tmp_path):
    told = vrmatte(tmp_path, "--help").output
    for code in EXIT_CODES:
        assert f"{code} " in told


def test_run_prints_a_table(tmp_path, clip):
    told = vrmatte(tmp_path, "run", clip, "--out", tmp_path / "out").output
    assert "12 frames" in told


def test_run_as_json_is_the_report(tmp_path, clip):
    out = tmp_path / "out"
    facts = as_json(tmp_path, "run", clip, "--out", out, "--deliver", "greenscreen,matte-lossless")
    assert facts["frames"] == 12
    assert [file["deliverable"] for file in facts["files"]] == ["greenscreen", "matte-lossless"]
    assert facts["files"][0]["checks"]["frames"] == 12
    assert facts == json.loads((out / "clip_LR_180_report.json").read_text())


def test_a_run_repeated_does_nothing_again(tmp_path, clip):
    out = tmp_path / "out"
    first = as_json(tmp_path, "run", clip, "--out", out)
    made = {path: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    again = as_json(tmp_path, "run", clip, "--out", out)
    assert again["files"] == first["files"]
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_notices_and_progress_go_to_standard_error(tmp_path, clip):
    out = tmp_path / "out"
    arguments = ["run", clip, "--out", out, "--set", "processing.memory_pipeline=true"]
    job = vrmatte(tmp_path, *arguments)
    assert "note: " in job.errors
    assert "note: " not in job.output


def test_probe(tmp_path, clip):
    facts = as_json(tmp_path, "probe", clip, "--count")
    assert (facts["width"], facts["height"], facts["frames_decoded"]) == (256, 128, 12)
    assert (facts["stereo"], facts["projection"]) == ("side_by_side", "half_equirect")
    told = vrmatte(tmp_path, "probe", clip).output
    assert "256x128" in told
    assert "stream 1" in told


def test_verify_passes_a_finished_run(tmp_path, clip):
    out = tmp_path / "out"
    vrmatte(tmp_path, "run", clip, "--out", out, "--deliver", "greenscreen,matte-lossless")
    checked = as_json(tmp_path, "verify", out)
    assert [piece["problem"] for piece in checked] == [None] * 3
    assert "verified" in vrmatte(tmp_path, "verify", out).output


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "file", ["clip_LR_180_greenscreen.mp4", ".vrmatte/clip_LR_180/chunks/000000/matte.mkv"]
)
def test_verify_finds_a_changed_byte(tmp_path, clip, file, place):
    out = tmp_path / "out"
    vrmatte(tmp_path, "run", clip, "--out", out, "--deliver", "greenscreen,matte-lossless")
    data = bytearray((out / file).read_bytes())
    data[int(len(data) * place)] ^= 1
    (out / file).write_bytes(data)
    checked = as_json(tmp_path, "verify", out, code=9)
    wrong = [piece for piece in checked if piece["problem"]]
    assert len(wrong) == 1
    assert wrong[0]["name"] in file
    told = vrmatte(tmp_path, "verify", out, code=9).errors
    assert told.splitlines()[-1].startswith(f"vrmatte: {out}: 1 FAILED: ")


def test_verify_finds_a_file_gone(tmp_path, clip):
    out = tmp_path / "out"
    vrmatte(tmp_path, "run", clip, "--out", out, "--deliver", "greenscreen,matte-lossless")
    (out / "clip_LR_180_greenscreen.mp4").unlink()
    checked = as_json(tmp_path, "verify", out, code=9)
    assert "is gone" in next(piece["problem"] for piece in checked if piece["problem"])


def test_verify_finds_a_run_unfinished(tmp_path, clip):
    out = tmp_path / "out"
    vrmatte(tmp_path, "run", clip, "--out", out, "--deliver", "matte-lossless")
    # The next run stops before it finishes anything.
    job = JobProcess(
        ["run", str(clip), "--out", str(out), "--deliver", "greenscreen", *BRIGHTNESS_OPTIONS],
        tmp_path / "log",
        [Fault("vrmatte.commands.run.finish_deliverables", 1)],
    )
    assert job.wait() == -9
    checked = as_json(tmp_path, "verify", out, code=9)
    assert [piece["name"] for piece in checked if piece["problem"]] == [
        "clip_LR_180_greenscreen.mp4"
    ]


def test_verify_where_nothing_was_made(tmp_path):
    job = vrmatte(tmp_path, "verify", tmp_path, code=3)
    assert job.errors.startswith(f"vrmatte: {tmp_path}: holds no vrmatte job")


def test_doctor(tmp_path):
    findings = as_json(tmp_path, "doctor", "--out", tmp_path / "new", "--size", "512x256")
    assert {"memory", "networks", "HEVC, software"} <= {f["what"] for f in findings}
    assert all(finding["result"] for finding in findings)


def test_models_list(tmp_path):
    rows = as_json(tmp_path, "models", "list")
    assert all(row["licence"] and row["sha256"] for row in rows)
    assert "rvm_mobilenetv3_fp32.onnx" in {row["name"] for row in rows}


def test_config_show_loads_to_the_same_settings(tmp_path):
    told = vrmatte(tmp_path, "config", "show", "--set", "output.quality=17").output
    assert "quality: 17" in told
    assert "# --set" in told
    (tmp_path / "shown.yaml").write_text(told)
    again = vrmatte(tmp_path, "config", "show", "-c", tmp_path / "shown.yaml").output
    assert [line.split("#")[0] for line in again.splitlines()] == [
        line.split("#")[0] for line in told.splitlines()
    ]


def test_config_init_writes_once(tmp_path):
    path = tmp_path / "own.yaml"
    assert vrmatte(tmp_path, "config", "init", path).output == f"wrote {path}\n"
    kept = path.read_text()
    job = vrmatte(tmp_path, "config", "init", path, code=2)
    assert job.errors == f"vrmatte: {path} exists already; name another file or remove it\n"
    assert path.read_text() == kept


def test_an_unknown_option_is_a_setting_that_is_wrong(tmp_path):
    assert "--nonsense" in vrmatte(tmp_path, "run", "--nonsense", code=2).errors


def test_version(tmp_path):
    assert vrmatte(tmp_path, "--version").output.startswith("vrmatte ")
