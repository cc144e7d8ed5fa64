"""Put a headless Chromium into .venv/browser for the tests of pages: `python scripts/browser.py`.

A browser of the system is used instead where there is one. Without any, those tests are skipped;
that is no error. The package holds a build for Linux on x86-64.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from _environment import VENV

VERSION = "147.0.0"
SHA256 = "18fe5404ce845594cd7d592fc07f37a19514079ba4d9c27192ad8b908743f16b"
FOLDER = VENV / "browser"
SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
UNPACK = """
const fs = require("fs"), path = require("path"), zlib = require("zlib");
const [, , from, to] = process.argv;
fs.mkdirSync(to);
for (const name of ["chromium.br", "al2023.tar.br", "fonts.tar.br", "swiftshader.tar.br"]) {
  const data = zlib.brotliDecompressSync(fs.readFileSync(path.join(from, name)));
  fs.writeFileSync(path.join(to, name.slice(0, -3)), data);
}
"""
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{folder}/fonts</dir>\
<cachedir>{folder}/font-cache</cachedir></fontconfig>
"""
"""Chromium's package names folders of a cloud service in its own list of fonts."""


def install_browser() -> None:
    """Install the browser unless there is one; print why where it can't be done."""
    if (FOLDER / "chromium").exists() or any(map(shutil.which, SYSTEM_BROWSERS)):
        return
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return _skip("no build for this system")
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return _skip("neither chromium nor npm is installed")
    with tempfile.TemporaryDirectory() as work:
        try:
            _install(Path(work), npm, node)
        except subprocess.CalledProcessError as error:
            _skip(f"{Path(error.cmd[0]).name} failed")
        except (OSError, ValueError, tarfile.TarError) as error:
            _skip(str(error))


def _install(work: Path, npm: str, node: str) -> None:
    package = f"@sparticuz/chromium@{VERSION}"
    _run([npm, "pack", "--silent", "--pack-destination", str(work), package])
    archive = next(work.glob("*.tgz"))
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        raise ValueError("the package has another digest")
    with tarfile.open(archive) as packed:
        packed.extractall(work, filter="data")
    made, script = work / "made", work / "unpack.js"
    script.write_text(UNPACK, encoding="utf-8")
    _run([node, str(script), str(work / "package" / "bin"), str(made)])
    for part in made.glob("*.tar"):
        with tarfile.open(part) as packed:
            packed.extractall(made, filter="data")
        part.unlink()
    (made / "chromium").chmod(0o755)
    (made / "fonts.conf").write_text(FONTS.format(folder=FOLDER), encoding="utf-8")
    shutil.copytree(made, FOLDER, dirs_exist_ok=True)


def _run(command: list[str]) -> None:
    subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=600
    )


def _skip(reason: str) -> None:
    print(f"no browser for the tests of pages, which are skipped: {reason}", file=sys.stderr)


if __name__ == "__main__":
    install_browser()
