import re
from urllib.parse import urlsplit

import pytest

from vrmatte.errors import ConfigError
from vrmatte.models.registry import WEIGHTS, find_by_digest, find_weights


@pytest.mark.parametrize("file", WEIGHTS, ids=lambda file: file.name)
def test_every_entry_can_be_trusted_and_shown(file):
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert file.size_bytes > 0
    assert urlsplit(file.url).scheme == urlsplit(file.licence_url).scheme == "https"
    assert file.licence in ("GPL-3.0-only", "Apache-2.0")
    assert re.fullmatch(r"[a-z0-9_.]+\.(onnx|tflite|safetensors)", file.name)
    assert file.title
    assert file.used_by
    assert find_weights(file.name) is file
    assert find_by_digest(file.sha256) is file


def test_names_and_digests_are_unique():
    assert len({file.name for file in WEIGHTS}) == len(WEIGHTS)
    assert len({file.sha256 for file in WEIGHTS}) == len(WEIGHTS)


def test_addresses_end_with_the_name_of_the_file():
    for file in WEIGHTS:  # a hub gives the file of every network the same name
        ends = "/model.safetensors" if file.name.endswith(".safetensors") else f"/{file.name}"
        assert file.is_packaged or file.url.endswith(ends)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean rvm_mobilenetv3_fp32\.onnx\?"):
        find_weights("rvm_mobilenet_fp32.onnx")


def test_a_far_off_name_is_refused_with_all_that_exist():
    with pytest.raises(ConfigError) as refused:
        find_weights("?")
    assert "did you mean" not in str(refused.value)
    assert all(file.name in str(refused.value) for file in WEIGHTS)


def test_an_unknown_digest_is_nobody():
    assert find_by_digest("0" * 64) is None
