"""Installation: every extra brings exactly one ONNX Runtime, and every document names an extra."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.paths import REPOSITORY
from vrmatte.models.ort import REQUIREMENTS

BUILDS = {
    "cpu": "onnxruntime",
    "cuda": "onnxruntime-gpu",
    "cuda12": "onnxruntime-gpu",
    "directml": "onnxruntime-directml",
    "openvino": "onnxruntime-openvino",
}
CUDA = {
    "cuda": ("nvidia-cublas", "nvidia-cudnn-cu13", "nvidia-cufft", "nvidia-curand"),
    "cuda12": ("nvidia-cublas-cu12", "nvidia-cudnn-cu12", "nvidia-cufft-cu12"),
}
WINDOWS = ("--platform", "win_amd64", "--only-binary=:all:", "--python-version", "3.11")
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
_BARE_INSTALL = re.compile(r"\b(?:pip|pipx|uv tool) install (?:-\S+ )*['\"]?(?:\.|vrmatte)")
_WITH_EXTRA = re.compile(r"\[[^\]]*\b(?:cpu|cuda|cuda12|directml|openvino)\b[^\]]*\]|\$\{?\w+")


def check(extra: str, names: list[str]) -> None:
    """Check the names of all distributions that an extra installs."""
    runtimes = [name for name in names if name in BUILDS.values()]
    assert runtimes == [BUILDS[extra]]
    assert set(CUDA.get(extra, ())) <= set(names)


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def index() -> None:
    """A Python package index that can be reached."""
    done = pip("index", "versions", "onnxruntime")
    if done.returncode != 0:
        pytest.skip(f"needs the Python package index: {done.stderr.strip().splitlines()[-1]}")


# pip downloads 1.6 GB for CUDA even in a dry run if the index does not serve metadata by itself.
HEAVY = [pytest.param(extra, marks=pytest.mark.slow) for extra in ("cuda", "cuda12")]


@pytest.mark.index
@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("extra", ["cpu", "openvino", "directml", *HEAVY])
def test_pip_resolves_an_extra_to_one_runtime(extra, tmp_path):
    report = tmp_path / "report.json"
    arguments = ["install", "--dry-run", "--quiet", "--ignore-installed", "--report", str(report)]
    if extra == "directml":  # pip checks markers against this system, not the one asked for
        arguments += [*WINDOWS, "--target", str(tmp_path)]
    done = pip(*arguments, *REQUIREMENTS[extra])  # the lock file covers the other packages
    assert done.returncode == 0, done.stderr
    check(
        extra,
        [entry["metadata"]["name"].lower() for entry in json.loads(report.read_text())["install"]],
    )


def locked() -> dict[str, list[dict[str, Any]]]:
    """Return the locked distributions by name; a name may have several versions."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]:
        packages.setdefault(package["name"], []).append(package)
    return packages


@pytest.mark.parametrize("extra", BUILDS)
def test_the_lock_file_has_one_runtime_for_an_extra(extra):
    packages = locked()
    (project,) = packages["vrmatte"]
    waiting = [*project["dependencies"], *project["optional-dependencies"][extra]]
    seen: dict[tuple[str, str], None] = {}
    while waiting:
        wanted = waiting.pop()
        versions = [
            package
            for package in packages[wanted["name"]]
            if wanted.get("version", package["version"]) == package["version"]
        ]
        for package in versions:
            waiting += package.get("dependencies", []) if (package["name"], "") not in seen else []
            seen[package["name"], ""] = None
            for name in wanted.get("extra", []):
                waiting += package["optional-dependencies"][name]
    check(extra, [name for name, _ in seen])


def test_the_lock_file_is_current_and_names_only_the_public_index():
    (project,) = locked()["vrmatte"]
    wanted = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    in_lock = {
        (entry["name"], entry.get("specifier", ""))
        for entry in project["metadata"]["requires-dist"]
    }
    for requirement in (one for group in wanted.values() for one in group):
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?([^;]*)(?:;.*)?", requirement)
        assert match is not None
        assert (match[1].lower(), match[2]) in in_lock, f"run uv lock: {requirement}"
    hosts = set(re.findall(r"https?://([^/\"]+)", (REPOSITORY / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def documents() -> list[Path]:
    texts = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    return [*texts, *(path for path in (REPOSITORY / "scripts").rglob("*") if path.is_file())]


@pytest.mark.parametrize("text", ["pip install .", "pipx install .", "pip install -e ."])
def test_an_install_without_an_extra_is_recognised(text):
    assert _BARE_INSTALL.search(text)
    assert not _WITH_EXTRA.search(text)
    assert _WITH_EXTRA.search(f"{text}[cpu]")


def test_every_document_names_an_extra():
    bare = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in documents()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if _BARE_INSTALL.search(line) and not _WITH_EXTRA.search(line)
    ]
    assert bare == []
