"""Robust Video Matting's own PyTorch model on the frames of one eye, nothing around it."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.measure import Usage, Watched
from benchmarks.peer_copy import MODEL_RUNNER, copy_peer, missing_libraries
from benchmarks.scope import Scope
from vrmatte.errors import VrmatteError


class PeerModel:
    """Runs the peer's model in a process of its own."""

    def __init__(self, scope: Scope, checkout: Path) -> None:
        """Copy the peer.

        Raises:
            ConfigError: that is no such checkout.
        """
        self._scope = scope
        self._folder = (scope.out / "peer-model").absolute()
        copy_peer(checkout, self._folder, "libx264", {})
        (self._folder / "model_alone.py").write_text(MODEL_RUNNER, "utf-8")

    def run(self) -> Usage:
        """What `model_frames` frames took, after one that isn't measured.

        Raises:
            VrmatteError: it failed.
        """
        scope, answer = self._scope, self._folder / "answer.json"
        answer.unlink(missing_ok=True)
        asked = (scope.model_eye_px, scope.model_ratio, scope.model_frames, scope.device)
        command = [scope.peer_python, "model_alone.py", "answer.json", *map(str, asked)]
        watched = Watched(command, self._folder / "log", self._folder)
        usage = watched.wait()
        if usage.exit_code != 0 or not answer.exists():
            raise VrmatteError(
                f"the peer's model failed with exit code {usage.exit_code}: {watched.last_words}"
            )
        took = json.loads(answer.read_text("utf-8"))
        wall, cpu = took["wall_seconds"], took["cpu_seconds"]
        return Usage(wall, cpu, usage.peak_bytes, usage.others_cores, 0)


def peer_model(scope: Scope) -> PeerModel | None:
    """The peer's model, where a checkout is named and its libraries are there."""
    if scope.peer is None or missing_libraries(scope.peer_python):
        return None
    return PeerModel(scope, scope.peer)
