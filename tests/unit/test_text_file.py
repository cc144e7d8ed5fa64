from __future__ import annotations

import errno
from pathlib import Path

import pytest

from vrmatte.errors import DiskFullError
from vrmatte.files import commit_text, replace_text, sha256_of


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "told.json"
    path.write_text("before")
    replace_text(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert [p.name for p in tmp_path.iterdir()] == ["told.json"]


def test_a_piece_is_committed_with_its_digest(tmp_path):
    path = tmp_path / "scores.json"
    made = commit_text(path, "[]", 7)
    assert (made.path, made.bytes, made.frames) == (path, 2, 7)
    assert made.sha256 == sha256_of(path)


@pytest.mark.parametrize("write", [replace_text, lambda path, text: commit_text(path, text, 1)])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, write):
    path = tmp_path / "told.json"
    path.write_text("before")

    def full(self: Path, text: str, **_: object) -> int:
        self.write_bytes(text.encode()[:2])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskFullError, match=r"told\.json"):
        write(path, "after")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["told.json"]


def test_a_link_in_the_way_isnt_written_through(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "told.json"
    victim.write_text("mine")
    (tmp_path / "told.json.part").symlink_to(victim)
    replace_text(path, "text")
    assert victim.read_text() == "mine"
    assert path.read_text() == "text"
