"""Matte videos and folders of videos, one after the other: `matte_dropped.py VIDEO_OR_FOLDER ...`.

The drop target windows/matte.bat calls this. The files of NAME.mp4 go to NAME_matte beside it. A
video that fails doesn't keep the others from being processed; the first failure's exit code is
returned.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".webm", ".m4v", ".ts", ".mts", ".avi", ".mxf"})
STOPPED_CODES = frozenset({129, 130, 143, 149})
"""Exit codes of `vrmatte run` after Ctrl-C and the like: then nothing more is started."""
_MADE = re.compile(r"_(alpha|greenscreen|matte|preview|overlay|confidence|xalpha)$")


def dropped_paths(arguments: Sequence[str], command_line: str | None) -> list[Path]:
    """Return the paths Explorer passed to a batch file.

    Explorer quotes a name only for its spaces, and cmd then cuts `a&b.mp4` at the `&`; but the
    line by which cmd was started (%CMDCMDLINE%) has it whole.

    Args:
        arguments: of the batch file, as cmd cut them.
        command_line: by which cmd was started; None, or one without the batch file: not dropped.
    """
    batch = re.search(r'matte\.bat"?\s+(.*)', command_line or "", re.IGNORECASE)
    if batch is None:
        return [Path(argument) for argument in arguments]
    rest = batch[1].removesuffix('"') if batch[1].count('"') % 2 else batch[1]
    return [Path(quoted or plain) for quoted, plain in re.findall(r'"([^"]+)"|([^\s"]+)', rest)]


def videos_in(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield videos: files as they are, those of folders by name; not what vrmatte has made."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for video in sorted(path.iterdir()):
            if video.suffix.lower() in VIDEO_SUFFIXES and not _MADE.search(video.stem):
                yield video


def main(paths: Sequence[Path], program: Sequence[str]) -> int:
    """Run vrmatte on every video; return the exit code of the first that failed, or 0."""
    videos = list(videos_in(paths))
    if not videos:
        print("Drop videos, or folders of videos, on matte.bat.")
        return 3
    failed: dict[Path, int] = {}
    for number, video in enumerate(videos, 1):
        print(f"\n[{number} of {len(videos)}] {video.name}", flush=True)
        out = video.with_name(f"{video.stem}_matte")
        code = subprocess.run([*program, "run", video, "--out", out], check=False).returncode
        if code:
            failed[video] = code
        if code in STOPPED_CODES:
            break
    print(f"\n{len(videos) - len(failed)} of {len(videos)} videos are done.")
    for video, code in failed.items():
        print(f"  {video.name}: exit code {code} (docs/errors.md); its message is above")
    return next(iter(failed.values()), 0)


if __name__ == "__main__":
    dropped = dropped_paths(sys.argv[1:], os.environ.get("VRMATTE_DROPPED"))
    sys.exit(main(dropped, [sys.executable, "-m", "vrmatte"]))
