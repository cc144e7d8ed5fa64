import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from support.local_server import serving
from support.matting.registered import register
from vrmatte.errors import ConfigError, WeightsError
from vrmatte.models import registry
from vrmatte.models.registry import find_weights
from vrmatte.models.weights import (
    PACKAGED_DIR,
    cache_dir,
    get_weights,
    import_weights,
    list_weights,
    locate_weights,
    verify_weights,
)
from vrmatte.progress import Advanced, Finished, Notice, Started

NAME = "rvm_mobilenetv3_fp32.onnx"
CONTENT = b"network" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no settings of this machine."""
    for name in ("VRMATTE_MODELS_DIR", "VRMATTE_MIRROR_URL", "VRMATTE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_dir()


@pytest.fixture
def site(monkeypatch):
    """A mirror that holds a network whose digest is registered."""
    file = replace(find_weights(NAME), size_bytes=len(CONTENT), sha256=SHA256)
    register(monkeypatch, file)
    with serving() as server:
        server.files[f"/nets/{NAME}"] = CONTENT
        monkeypatch.setenv("VRMATTE_MIRROR_URL", f"{server.url}/nets/")
        yield server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def state_of(rows) -> dict[str, str]:
    return {row.file.name: row.state for row in rows}


def test_nothing_is_found_in_an_empty_cache(cache):
    assert locate_weights(NAME) is None
    states = state_of(verify_weights())
    assert states.pop("selfie_segmentation.tflite") == "verified"
    assert set(states.values()) == {"missing"}
    assert not cache.exists()


def test_an_unknown_name_is_refused():
    with pytest.raises(ConfigError, match="unknown weights"):
        locate_weights("rvm")
    with pytest.raises(ConfigError, match="unknown weights"):
        get_weights("rvm")


def test_a_missing_file_is_fetched_once_and_told(site, cache):
    events = []
    fetched = get_weights(NAME, events.append)
    assert fetched.path == cache / NAME
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.verified
    assert fetched.notice is None
    assert names(cache) == [NAME]
    told, started, *advanced, finished = events
    assert isinstance(told, Notice)
    assert "GPL-3.0-only" in told.text
    assert told.level == "info"
    assert started == Started("download", len(CONTENT), NAME)
    assert advanced[-1] == Advanced("download", len(CONTENT))
    assert finished == Finished("download")

    assert get_weights(NAME, events.append) == fetched == locate_weights(NAME)
    assert len(site.requests) == 1


def test_a_mirror_may_be_a_folder(site, tmp_path, monkeypatch):
    (tmp_path / NAME).write_bytes(CONTENT)
    monkeypatch.setenv("VRMATTE_MIRROR_URL", tmp_path.as_uri())
    assert get_weights(NAME).verified
    assert site.requests == []


def test_without_a_mirror_only_encrypted_addresses_are_fetched(site, monkeypatch):
    monkeypatch.delenv("VRMATTE_MIRROR_URL")
    plain = replace(find_weights(NAME), url=f"{site.url}/nets/{NAME}")
    register(monkeypatch, plain)
    with pytest.raises(WeightsError, match="must begin with https://"):
        get_weights(NAME)
    assert site.requests == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" + CONTENT[1:], "has SHA-256"),
        (CONTENT + b"x", "more than 700000 bytes"),
        (CONTENT[:-1], "only 699999 of 700000 bytes"),
        (None, "404"),
    ],
)
def test_a_wrong_download_is_refused_and_leaves_nothing(site, cache, content, reason):
    del site.files[f"/nets/{NAME}"]
    if content is not None:
        site.files[f"/nets/{NAME}"] = content
    with pytest.raises(WeightsError, match=reason) as refused:
        get_weights(NAME)
    assert f"vrmatte models import {NAME}" in str(refused.value)
    assert names(cache) == []


def test_a_connection_that_ends_early_is_refused(site, cache):
    site.files[f"/nets/{NAME}"] = CONTENT[:1000]
    site.promised_bytes[f"/nets/{NAME}"] = len(CONTENT)
    with pytest.raises(WeightsError, match="only 1000 of 700000 bytes"):
        get_weights(NAME)
    assert names(cache) == []


@pytest.mark.parametrize("word", ["1", "true", "YES"])
def test_offline_nothing_is_fetched(site, monkeypatch, word):
    monkeypatch.setenv("VRMATTE_OFFLINE", word)
    with pytest.raises(WeightsError, match="VRMATTE_OFFLINE forbids") as refused:
        get_weights(NAME)
    assert f"{site.url}/nets/{NAME}" in str(refused.value)
    assert f"vrmatte models import {NAME}" in str(refused.value)
    assert site.requests == []


def test_offline_zero_means_online(site, monkeypatch):
    monkeypatch.setenv("VRMATTE_OFFLINE", "0")
    assert get_weights(NAME).verified


def test_offline_a_cached_file_serves(site, monkeypatch):
    fetched = get_weights(NAME)
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    assert get_weights(NAME) == fetched


def test_the_packaged_network_needs_no_internet(monkeypatch, cache):
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    packaged = get_weights("selfie_segmentation.tflite")
    assert packaged.verified
    assert packaged.path.parent == PACKAGED_DIR
    assert (PACKAGED_DIR / "LICENSE.mediapipe").is_file()
    assert not cache.exists()


def test_every_packaged_network_is_registered_and_nothing_else():
    licences = {"LICENSE.mediapipe"}
    files = {path.name for path in PACKAGED_DIR.iterdir()} - licences
    assert files == {file.name for file in registry.WEIGHTS if file.is_packaged}


def test_a_damaged_packaged_network_is_not_used(monkeypatch):
    damaged = replace(find_weights("selfie_segmentation.tflite"), sha256="0" * 64)
    register(monkeypatch, damaged)
    assert state_of(verify_weights())[damaged.name] == "damaged"
    with pytest.raises(WeightsError, match="reinstall vrmatte"):
        get_weights(damaged.name)


def test_a_wrong_cached_file_is_set_aside_and_fetched_again(site, cache):
    get_weights(NAME)
    (cache / NAME).write_bytes(b"rotten")
    (cache / f"{NAME}.part").write_bytes(b"left by a killed download")
    assert locate_weights(NAME) is None
    assert state_of(verify_weights())[NAME] == "damaged"
    assert get_weights(NAME).verified
    assert names(cache) == [NAME, f"{NAME}.rejected"]
    assert (cache / f"{NAME}.rejected").read_bytes() == b"rotten"


def test_two_at_once_fetch_once(site):
    """The first is held in mid-download until the second says that it waits."""
    second_waits = threading.Event()
    first_fetches = threading.Event()

    def hold_the_body() -> None:
        first_fetches.set()
        second_waits.wait(30)

    def second_hears(event) -> None:
        if isinstance(event, Notice) and "waiting" in event.text:
            second_waits.set()

    site.before_body = hold_the_body
    results = []
    first = threading.Thread(target=lambda: results.append(get_weights(NAME)))
    first.start()
    assert first_fetches.wait(30)
    results.append(get_weights(NAME, second_hears))
    first.join()
    assert second_waits.is_set()
    assert [found.verified for found in results] == [True, True]
    assert len(site.requests) == 1


def test_the_users_folder_comes_first_and_may_hold_another_digest(site, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    (own / NAME).write_bytes(b"my own training")
    get_weights(NAME)
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(own))
    found = get_weights(NAME)
    assert found.path == own / NAME
    assert not found.verified
    assert found.notice is not None
    assert found.notice.startswith("unverified weights")
    assert state_of(verify_weights())[NAME] == "unverified"
    (own / NAME).write_bytes(CONTENT)
    assert get_weights(NAME).verified


def test_a_users_folder_without_the_file_falls_through(site, tmp_path, cache, monkeypatch):
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    assert get_weights(NAME).path == cache / NAME


def test_a_users_folder_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path / "absent"))
    with pytest.raises(WeightsError, match=r"VRMATTE_MODELS_DIR is .*absent"):
        locate_weights(NAME)


def test_a_cache_that_cant_be_made_is_named(site, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="set VRMATTE_MODELS_DIR"):
        get_weights(NAME)


def test_import_knows_a_file_by_its_digest(site, tmp_path, cache):
    (tmp_path / "download (1).bin").write_bytes(CONTENT)
    imported = import_weights(tmp_path / "download (1).bin")
    assert imported.path == cache / NAME
    assert imported.verified
    assert locate_weights(NAME) == imported
    assert site.requests == []


def test_import_refuses_a_name_with_another_digest_unless_allowed(site, tmp_path, cache):
    (tmp_path / NAME).write_bytes(b"other")
    with pytest.raises(WeightsError, match="damaged or another version"):
        import_weights(tmp_path / NAME)
    assert locate_weights(NAME) is None
    imported = import_weights(tmp_path / NAME, allow_unverified=True)
    assert not imported.verified
    assert locate_weights(NAME) == imported

    (tmp_path / NAME).write_bytes(CONTENT)
    assert import_weights(tmp_path / NAME).verified
    found = locate_weights(NAME)
    assert found is not None
    assert found.path == cache / NAME


def test_import_refuses_strangers_and_absent_files(tmp_path):
    (tmp_path / "cat.jpg").write_bytes(b"miaow")
    with pytest.raises(WeightsError, match="not a network that vrmatte knows"):
        import_weights(tmp_path / "cat.jpg", allow_unverified=True)
    with pytest.raises(WeightsError, match="can't read"):
        import_weights(tmp_path / "absent.onnx")


def test_list_says_what_is_here_without_judging(site, cache):
    get_weights(NAME)
    (cache / NAME).write_bytes(b"rotten")
    assert state_of(list_weights())[NAME] == "present"
    assert state_of(list_weights())["yolox_nano.onnx"] == "missing"
