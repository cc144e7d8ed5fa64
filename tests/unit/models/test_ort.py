"""Exactly one build of ONNX Runtime must be installed, and nothing is sent to its makers."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.paths import REPOSITORY
from vrmatte.models.ort import (
    REQUIREMENTS,
    Installer,
    RuntimeBuild,
    install_commands,
    installation_fault,
    installed_builds,
    load_runtime,
)


def install(folder: Path, name: str, version: str, files: str = "onnxruntime/__init__.py") -> None:
    """Lay out what an installer leaves of a distribution."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{files},,\n{info.name}/METADATA,,\n")


def run(code: str, *before: Path) -> subprocess.CompletedProcess[str]:
    paths = [str(path) for path in before]
    lines = f"import sys; sys.path[:0] = {paths!r}\n{code}"
    return subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)


def test_one_build_is_installed_here():
    (build,) = installed_builds()
    assert installation_fault([build]) is None
    assert load_runtime().__version__ == build.version


def test_builds_are_those_that_own_the_folder(tmp_path):
    install(tmp_path, "onnxruntime-gpu", "1.31.1")
    install(tmp_path, "onnxruntime_directml", "1.24.4")
    install(tmp_path, "onnxruntime-ep-webgpu", "0.4.0", "onnxruntime_ep_webgpu/__init__.py")
    install(tmp_path, "onnxruntime-genai", "0.18.0", "onnxruntime_genai/__init__.py")
    install(tmp_path, "onnx", "1.23.0", "onnx/__init__.py")
    assert [str(build) for build in installed_builds([str(tmp_path)])] == [
        "onnxruntime-directml 1.24.4",
        "onnxruntime-gpu 1.31.1",
    ]


@pytest.mark.parametrize(
    ("name", "version", "extra"),
    [
        ("onnxruntime", "1.32.0", "cpu"),
        ("onnxruntime-gpu", "1.31.1", "cuda"),
        ("onnxruntime-gpu", "1.27.0", "cuda"),
        ("onnxruntime-gpu", "1.26.0", "cuda12"),
        ("onnxruntime-openvino", "1.24.1", "openvino"),
        ("onnxruntime-directml", "1.24.4", "directml"),
        ("onnxruntime-migraphx", "1.27.1", None),
    ],
)
def test_the_extra_of_a_build(name, version, extra):
    assert RuntimeBuild(name, version).extra == extra


def test_no_build_is_reported_with_the_command_for_each_kind_of_machine():
    fault = installation_fault([])
    assert fault is not None
    assert '-m pip install "onnxruntime>=1.20"`' in fault
    assert '-m pip install "onnxruntime-gpu[cuda,cudnn]>=1.28" "nvidia-ml-py>=12"`' in fault


@pytest.mark.parametrize(
    ("other", "version", "extra"),
    [
        ("onnxruntime-gpu", "1.31.1", "cuda"),
        ("onnxruntime-gpu", "1.26.0", "cuda12"),
        ("onnxruntime-openvino", "1.24.1", "openvino"),
        ("onnxruntime-migraphx", "1.27.1", "cpu"),
    ],
)
def test_two_builds_are_reported_with_the_commands_that_keep_the_accelerated_one(
    other, version, extra
):
    builds = [RuntimeBuild("onnxruntime", "1.32.0"), RuntimeBuild(other, version)]
    fault = installation_fault(builds)
    assert fault is not None
    assert f"(onnxruntime 1.32.0, {other} {version})" in fault
    python = sys.executable
    assert (
        f"run `{python} -m pip uninstall -y onnxruntime {other}`, "
        f'then `{python} -m pip install "{REQUIREMENTS[extra][0]}"'
    ) in fault


def test_the_commands_are_those_of_the_installer_that_is_there():
    build = RuntimeBuild("onnxruntime", "1.32.0")
    pip, uv = (Installer("/a b/python", has_pip=has_pip) for has_pip in (True, False))
    assert install_commands("cpu", [], pip) == '`"/a b/python" -m pip install "onnxruntime>=1.20"`'
    assert install_commands("openvino", [build], uv) == (
        '`uv pip uninstall --python "/a b/python" onnxruntime`, '
        'then `uv pip install --python "/a b/python" "onnxruntime-openvino>=1.20"`'
    )


def test_requirements_are_those_of_the_extras():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for extra, requirements in REQUIREMENTS.items():
        assert tuple(entry.split(";")[0] for entry in extras[extra]) == requirements
    everything = [*project["dependencies"], *(r for name in extras for r in extras[name])]
    runtimes = [one for one in everything if one.startswith(("onnxruntime", "ort-"))]
    assert len(runtimes) == len(REQUIREMENTS)


def test_a_second_build_stops_every_network_before_it_runs(tmp_path):
    install(tmp_path, "onnxruntime-gpu", "1.31.1")
    code = "from vrmatte.models.runtime import open_session\nopen_session(b'', 'cpu')"
    done = run(code, tmp_path)
    assert done.returncode == 1
    assert "ConfigError: several builds of ONNX Runtime overwrite each other" in done.stderr
    assert "pip uninstall -y onnxruntime onnxruntime-gpu`" in done.stderr


@pytest.mark.parametrize("content", ["", "raise ImportError('DLL load failed while importing x')"])
def test_a_damaged_build_is_reported_with_its_repair(tmp_path, content):
    """As after removing one of two builds: files of the other are gone."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(content)
    done = run("from vrmatte.models.ort import load_runtime\nload_runtime()", tmp_path)
    assert done.returncode == 1
    assert re.search(r"ConfigError: ONNX Runtime \(onnxruntime \S+\) cannot be loaded", done.stderr)
    assert "pip uninstall -y onnxruntime`, then `" in done.stderr
    assert ("Visual C++" in done.stderr) == bool(content)


def test_it_is_imported_when_needed_and_without_telemetry():
    code = """
import os
from importlib.abc import MetaPathFinder
import vrmatte.models.runtime
from vrmatte.models.ort import load_runtime
assert "onnxruntime" not in sys.modules
seen = []
class Watch(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "onnxruntime":
            seen.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
import onnxruntime.capi._pybind_state as state
seen.clear(); del sys.modules["onnxruntime"]
calls = []
state.disable_telemetry_events = lambda: calls.append("off")
load_runtime()
assert seen == ["1"], seen
assert calls == ["off"], calls
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
