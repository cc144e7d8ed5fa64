from __future__ import annotations

import sqlite3

import psutil
import pytest

from vrmatte.errors import DiskFullError, OutputError
from vrmatte.files import ChunkFile, sha256_of
from vrmatte.jobs import manifest as store
from vrmatte.jobs.manifest import Manifest, Product
from vrmatte.plan import key_of

MADE_FROM = {"engine": "rvm", "frames": [0, 7]}
KEY = key_of(MADE_FROM)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def manifest(folder, tmp_path):
    with Manifest(folder, tmp_path) as opened:
        yield opened


def file_of(folder, name: str, content: str = "content") -> ChunkFile:
    path = folder / name
    path.write_text(content)
    return ChunkFile(path, len(content), sha256_of(path), 7)


def commit(manifest, folder, chunk=0, name="matte", made_from=MADE_FROM) -> ChunkFile:
    file = file_of(folder, f"{name}-{chunk}")
    manifest.commit_chunk(chunk, {name: file}, {name: made_from}, {"matte": 1.5})
    return file


def test_facts_are_remembered(manifest, folder, tmp_path):
    manifest.set_fact("input", {"a": [1, None]})
    manifest.close()
    with Manifest(folder, tmp_path) as again:
        assert again.fact("input") == {"a": [1, None]}
        assert again.fact("nothing") is None


def test_a_piece_is_known_by_what_it_was_made_from(manifest, folder):
    file = commit(manifest, folder)
    assert manifest.piece(0, "matte", KEY) == file.path
    assert manifest.piece(0, "matte", key_of(MADE_FROM | {"engine": "selfie"})) is None
    assert manifest.piece(1, "matte", KEY) is None
    assert manifest.piece_parameters("matte") == (0, MADE_FROM)


def test_a_piece_of_another_size_or_gone_is_none(manifest, folder):
    file = commit(manifest, folder)
    file.path.write_text("cont")
    assert manifest.piece(0, "matte", KEY) is None
    file.path.unlink()
    assert manifest.piece(0, "matte", KEY) is None


@pytest.mark.parametrize("content", ["kontent", None])
def test_broken_pieces_are_found_and_forgotten(manifest, folder, content):
    commit(manifest, folder, 0)
    file = commit(manifest, folder, 1)
    if content is None:
        file.path.unlink()
    else:
        file.path.write_text(content)
    assert manifest.broken_pieces() == [(1, "matte", "matte-1")]
    assert manifest.forget_if_broken(0, "matte") is None
    assert manifest.forget_if_broken(1, "matte") == "matte-1"
    assert manifest.broken_pieces() == []
    assert manifest.forget_if_broken(1, "matte") is None


def test_a_chunk_is_recorded_whole_or_not_at_all(manifest, folder):
    files = {"matte": file_of(folder, "a"), "state": file_of(folder, "b")}
    with pytest.raises(KeyError):
        manifest.commit_chunk(0, files, {"matte": MADE_FROM}, {})
    assert manifest.piece(0, "matte", KEY) is None
    commit(manifest, folder)
    assert manifest.piece(0, "matte", KEY)


def test_pieces_of_a_joined_file_are_deleted(manifest, folder):
    kept, dropped = commit(manifest, folder), commit(manifest, folder, name="file:x")
    manifest.drop_pieces("file:x")
    assert (kept.path.exists(), dropped.path.exists()) == (True, False)
    assert manifest.broken_pieces() == []


def test_a_product_is_in_place_while_it_has_its_size(manifest, folder, tmp_path):
    path = tmp_path / "out.mp4"
    path.write_text("four")
    product = Product("greenscreen", "key", path, 4, "digest", {"frames": 7})
    manifest.commit_product(product, MADE_FROM)
    found = manifest.product("greenscreen")
    assert found == product
    assert found.is_in_place
    assert manifest.product_parameters("greenscreen") == MADE_FROM
    path.write_text("fourteen")
    assert not found.is_in_place
    assert manifest.product("matte") is None
    assert manifest.product_parameters("matte") is None


def test_times_add_up_over_runs(manifest, folder):
    commit(manifest, folder, 0)
    commit(manifest, folder, 1)
    assert manifest.stage_seconds() == {"matte": 3.0}


def test_another_schema_is_refused(manifest, folder, tmp_path):
    manifest.set_fact("schema", store.SCHEMA_VERSION + 1)
    with pytest.raises(OutputError, match=r"another version of vrmatte.*--fresh"):
        Manifest(folder, tmp_path)


def test_no_database_is_refused(folder, tmp_path):
    (folder / "manifest.sqlite").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(OutputError, match=r"can't be used.*--fresh") as refused:
        Manifest(folder, tmp_path)
    assert refused.tb is not None  # it holds the frames, and with them the connection
    opened = [file.path for file in psutil.Process().open_files()]
    assert str(folder / "manifest.sqlite") not in opened, "Windows could not delete it"


@pytest.mark.parametrize(
    ("code", "free", "kind"),
    [
        (sqlite3.SQLITE_FULL, 1 << 30, DiskFullError),
        (sqlite3.SQLITE_IOERR, 0, DiskFullError),
        (sqlite3.SQLITE_IOERR | 19 << 8, 0, DiskFullError),
        (sqlite3.SQLITE_IOERR, 1 << 30, OutputError),
        (sqlite3.SQLITE_READONLY, 1 << 30, OutputError),
    ],
)
def test_errors_of_the_disk_are_named(manifest, monkeypatch, tmp_path, code, free, kind):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(kind, match="run the same command again"), manifest._transaction():
        raise error
    manifest.set_fact("still", "usable")
