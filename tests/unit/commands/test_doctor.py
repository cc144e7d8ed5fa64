from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from vrmatte.commands import doctor
from vrmatte.commands.doctor import MachineCheck, check_codecs, examine, missing_needs
from vrmatte.media.codec_trial import CodecTrial
from vrmatte.media.encoders import EncoderSpec

SIZE = (512, 256)


def by_name(findings: list[MachineCheck]) -> dict[tuple[str, str], MachineCheck]:
    return {(f.group, f.what): f for f in findings}


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """A machine without any network file."""
    monkeypatch.setenv("VRMATTE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("VRMATTE_MODELS_DIR", raising=False)
    monkeypatch.delenv("VRMATTE_OFFLINE", raising=False)


def test_every_kind_is_examined(tmp_path):
    findings = examine(tmp_path, SIZE)
    found = by_name(findings)
    for codec in ("H.264", "HEVC", "AV1", "VP9", "ProRes"):
        assert found["decoders", codec].state == "ok"
    for encoder in ("H.264, software", "HEVC, software", "AV1, software", "FFV1 (matte store)"):
        assert found["encoders", encoder].state == "ok"
        assert "512x256" in found["encoders", encoder].result
    assert found["networks", "cpu"].state == "ok"
    assert {"nvenc", "qsv", "amf"} <= {f.what for f in findings if f.group == "encoders"}
    assert {f.what for f in findings if f.group == "versions"} >= {"vrmatte", "FFmpeg", "Numba"}
    assert all(f.result for f in findings)
    assert all(f.advice for f in findings if f.state != "ok" and f.needed)


def test_the_default_encoder_is_needed_at_the_size_asked_for():
    assert _needed_encoders((512, 256)) == {"FFV1 (matte store)", "H.264, software"}
    assert _needed_encoders((6144, 3072)) == {"FFV1 (matte store)", "HEVC, software"}


def _works(_spec: EncoderSpec, _width: int, _height: int) -> CodecTrial:
    return CodecTrial(None, None, 0)


def _needed_encoders(size: tuple[int, int]) -> set[str]:
    return {f.what for f in check_codecs(size, _works) if f.group == "encoders" and f.needed}


@pytest.mark.parametrize("broken", ["encoding", "decoding"])
def test_a_codec_that_fails_keeps_the_default_job_from_running(broken):
    def try_codec(_spec: EncoderSpec, _width: int, _height: int) -> CodecTrial:
        return (
            CodecTrial("refused", None, 0) if broken == "encoding" else CodecTrial(None, "green", 0)
        )

    findings = list(check_codecs(SIZE, try_codec))
    group = {"encoding": "encoders", "decoding": "decoders"}[broken]
    missing = [f for f in findings if f.state == "missing"]
    assert {f.group for f in missing} == {group}
    assert missing_needs(findings)
    assert all(f.advice for f in missing)


def test_missing_weights_are_fetched_later(no_weights):
    findings = [finding for finding in doctor._weights() if finding.needed]
    assert {f.what for f in findings} == {"rvm_mobilenetv3_fp32.onnx", "yolox_nano.onnx"}
    assert {f.state for f in findings} == {"warning"}
    assert "vrmatte models pull" in findings[0].advice
    assert not missing_needs(findings)


def test_missing_weights_without_a_network_keep_it_from_running(no_weights, monkeypatch):
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    assert missing_needs(list(doctor._weights()))


def test_weights_with_another_digest_are_told(no_weights, monkeypatch, tmp_path):
    (tmp_path / "yolox_nano.onnx").write_bytes(b"something else")
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    found = by_name(list(doctor._weights()))
    assert found["weights", "yolox_nano.onnx"].state == "warning"
    assert "different digest" in found["weights", "yolox_nano.onnx"].result


def test_a_models_folder_that_is_none_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path / "gone"))
    (finding,) = doctor._weights()
    assert "is not a folder" in finding.result
    assert missing_needs([finding])


def test_the_disk_of_a_directory_to_come_is_looked_at(tmp_path):
    finding = doctor._disk(tmp_path / "deep" / "out")
    assert finding.what == f"disk of {tmp_path}"
    assert finding.state in ("ok", "warning", "missing")


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "out").touch()
    assert missing_needs([doctor._disk(tmp_path / "out")])


def test_a_disk_that_is_full_is_reported(tmp_path):
    assert missing_needs([doctor._disk(tmp_path, least_bytes=1 << 60)])


def vrmatte(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from vrmatte.cli.main import main; import sys\ntry: main()\nfinally: "
    code += "print([m for m in ('torch', 'transformers', 'ray') if m in sys.modules], "
    code += "file=sys.stderr)"
    command = [sys.executable, "-c", code, "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))


def test_the_command_line_ends_by_what_was_found(tmp_path):
    done = vrmatte("--json", "--size", "512x256", "--out", str(tmp_path))
    assert done.stderr == "[]\n"  # nothing heavy was loaded, and no library talks
    findings = [MachineCheck(**row) for row in json.loads(done.stdout)]
    assert done.returncode == (1 if missing_needs(findings) else 0)
    (tmp_path / "file").touch()
    done = vrmatte("--size", "512x256", "--out", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "Runs with default settings can't work here: disk of" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize("size", ["6K", "100x", "101x64", "100000x50000", "-2x64"])
def test_what_is_no_size_is_refused(size):
    from vrmatte.cli.doctor import _parse_size
    from vrmatte.errors import ConfigError

    with pytest.raises(ConfigError, match="--size"):
        _parse_size(size)
