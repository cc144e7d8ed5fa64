from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from support.file_limits import largest_file_bytes
from vrmatte.errors import DiskFullError, OutputError, WeightsError
from vrmatte.files import commit_file, commit_text, replace_text, sha256_of, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path, error: BaseException) -> None:
    with write_atomically(path) as draft:
        draft.write_text("half")
        raise error


def test_text_is_replaced(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("before")
    replace_text(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert names(tmp_path) == ["report.json"]


def test_text_of_a_chunk_is_committed_with_its_digest(tmp_path):
    path = tmp_path / "scores.json"
    file = commit_text(path, "[]", 7)
    assert (file.path, file.bytes, file.frames) == (path, 2, 7)
    assert file.sha256 == sha256_of(path)


@pytest.mark.parametrize("write", [replace_text, lambda path, text: commit_text(path, text, 1)])
def test_a_failed_write_keeps_the_former_file(tmp_path, write):
    path = tmp_path / "report.json"
    path.write_text("before")
    with (
        largest_file_bytes(1000),
        pytest.raises(OutputError, match=r"can't write .*report\.json: File too large"),
    ):
        write(path, "after" * 1000)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["report.json"]


def test_a_link_in_place_of_the_draft_is_not_followed(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "report.json"
    victim.write_text("mine")
    (tmp_path / "report.json.part").symlink_to(victim)
    replace_text(path, "text")
    assert victim.read_text() == "mine"
    assert path.read_text() == "text"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("broken content")])
def test_an_interrupted_block_leaves_no_draft(tmp_path, error):
    path = tmp_path / "report.json"
    path.write_text("before")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["report.json"]


def test_a_full_disk_has_its_own_error(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(DiskFullError, match=r"disk full while writing .*report\.json"):
        write_half(tmp_path / "report.json", full)
    assert names(tmp_path) == []


def test_errors_can_be_mapped_otherwise(tmp_path):
    path = tmp_path / "absent" / "net.onnx"
    with (
        pytest.raises(WeightsError, match=r"net\.onnx is lost"),
        write_atomically(path, lambda _, at: WeightsError(f"{at.name} is lost")) as draft,
    ):
        draft.write_bytes(b"")


def test_a_draft_is_committed_over_the_former_file(tmp_path):
    path, draft = tmp_path / "chunk.mkv", tmp_path / "chunk.mkv.part"
    path.write_text("old")
    draft.write_text("new")
    file = commit_file(draft, path, 3)
    assert (file.bytes, file.frames, file.sha256) == (3, 3, sha256_of(path))
    assert path.read_text() == "new"
    with pytest.raises(OutputError):
        commit_file(draft, path, 3)
