import errno
import hashlib
import io
import urllib.request

import pytest

from support.local_server import serving
from vrmatte.errors import DiskFullError, WeightsError
from vrmatte.models.download import (
    _NoDowngrade,
    open_url,
    save_verified,
    without_secrets,
    write_error,
)

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site():
    with serving() as server:
        yield server


def save(stream, target, **changed):
    asked = {"origin": "here", "size_bytes": len(CONTENT), "sha256": SHA256, **changed}
    save_verified(stream, target, **asked)


def test_a_right_stream_becomes_the_file(tmp_path):
    seen = []
    save(io.BytesIO(CONTENT), tmp_path / "net.onnx", on_bytes=seen.append)
    assert (tmp_path / "net.onnx").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").stat().st_mode & 0o444 == 0o444
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:-1], "only 1048575 of 1048576 bytes"),
        (CONTENT + b"x", "more than 1048576 bytes"),
        (b"x" + CONTENT[1:], f"expected {SHA256}"),
        (b"", "only 0 of"),
    ],
)
def test_a_wrong_stream_leaves_what_was_there(tmp_path, content, reason):
    target = tmp_path / "net.onnx"
    target.write_bytes(b"before")
    with pytest.raises(WeightsError, match=reason):
        save(io.BytesIO(content), target)
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


def test_no_more_is_read_than_one_byte_past_the_promise(tmp_path):
    endless = io.BytesIO(CONTENT * 3)
    with pytest.raises(WeightsError, match="more than"):
        save(endless, tmp_path / "net.onnx")
    assert endless.tell() == len(CONTENT) + 1


def test_a_stream_that_breaks_off_is_named(tmp_path):
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError(errno.ECONNRESET, "connection reset by peer")

    with pytest.raises(WeightsError, match="here ended early: connection reset"):
        save(Breaking(), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cant_be_written_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"can't write .*net\.onnx"):
        save(io.BytesIO(CONTENT), tmp_path / "absent" / "net.onnx")


def test_a_full_disk_has_its_own_error(tmp_path):
    full = write_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert isinstance(full, DiskFullError)


def test_unencrypted_addresses_need_the_users_word(site, tmp_path):
    site.files["/net"] = CONTENT
    for url in (f"{site.url}/net", tmp_path.as_uri(), "ftp://host/net", "net"):
        with pytest.raises(WeightsError, match="must begin with https://"):
            open_url(url)
    assert site.requests == []
    with open_url(f"{site.url}/net", plain_allowed=True) as stream:
        assert stream.read() == CONTENT


def test_a_redirect_is_followed_without_the_login(site):
    site.redirects["/old"] = f"{site.url}/new"
    site.files["/new"] = CONTENT
    with open_url(site.url.replace("//", "//me:p%40ss@") + "/old", plain_allowed=True) as stream:
        assert stream.read() == CONTENT
    assert site.requests == [("/old", "Basic bWU6cEBzcw=="), ("/new", None)]


def test_a_redirect_to_an_unencrypted_address_is_refused():
    request = urllib.request.Request("https://host/net")
    with pytest.raises(WeightsError, match="unencrypted http://other/net"):
        _NoDowngrade().redirect_request(request, None, 302, "", {}, "http://other/net?key=1")


def test_a_server_that_has_no_such_file_is_named(site):
    with pytest.raises(WeightsError, match=r"/net: the server answers 404 Not Found") as refused:
        open_url(site.url.replace("//", "//me:secret@") + "/net", plain_allowed=True)
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_named(site):
    nobody = site.url.rpartition(":")[0] + ":9"
    with pytest.raises(WeightsError, match=r"can't fetch http://127\.0\.0\.1:9/net: "):
        open_url(f"{nobody}/net", plain_allowed=True)


def test_addresses_are_shown_without_secrets():
    assert without_secrets("https://me:pw@host:8/a?token=1#x") == "https://host:8/a"
