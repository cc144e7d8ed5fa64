"""Imported by the server that test processes are forked from: does one small run, and no more.

So everything is imported, and the compiled loops are loaded, before a process is forked: that is
half of the time of a run of a tiny clip. OpenCV keeps to one thread meanwhile, since a pool of
threads does not survive a fork.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2

import vrmatte.cli.run  # noqa: F401  imported for the processes
from support.brightness import brightness_config
from support.media.media_fixtures import write_clip
from vrmatte.commands.run import matte_video

cv2.setNumThreads(1)
with tempfile.TemporaryDirectory() as folder:
    clip = Path(folder, "clip_LR_180.mp4")
    write_clip(clip, frames=4, audio=("aac",))
    deliver = ["matte-lossless", "greenscreen", "alpha-packed"]
    matte_video(clip, Path(folder, "out"), brightness_config({"output": {"deliver": deliver}}))
cv2.setNumThreads(-1)
