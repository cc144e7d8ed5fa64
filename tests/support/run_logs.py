"""What a run did, from its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def run_log(out: Path, stem: str = "clip_LR_180") -> list[dict[str, Any]]:
    """All lines of the log of the job in `out`; none where there is no log."""
    path = out / ".vrmatte" / stem / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def begun_chunks(out: Path) -> list[dict[str, Any]]:
    """Every pass over a chunk: "chunk", whether its "matte" was to be made, and which "files"."""
    return [line for line in run_log(out) if line["event"] == "chunk begun"]
