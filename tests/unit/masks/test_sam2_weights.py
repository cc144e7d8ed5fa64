"""Which weights are taken, and what is said where they or packages are missing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from support.matting.registered import register
from support.paths import SOURCES
from vrmatte.errors import ConfigError, WeightsError
from vrmatte.masks.sam2_models import MASK_MODELS, find_mask_model
from vrmatte.masks.sam2_weights import checked_file, choose_mask_weights
from vrmatte.models.registry import find_weights

TINY = "sam2.1_hiera_tiny"
CONTENT = b"stands for weights"


@pytest.fixture(autouse=True)
def own_dir(tmp_path, monkeypatch):
    """A folder of the user's own, and a network that nothing is fetched from."""
    monkeypatch.setenv("VRMATTE_MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("VRMATTE_OFFLINE", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("VRMATTE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def put(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(CONTENT)
    return folder


@pytest.mark.parametrize("model", MASK_MODELS.values(), ids=lambda model: model.name)
def test_every_network_can_be_had_and_its_licence_read(model):
    assert model.title
    assert model.licence
    assert model.licence_url.startswith("https://")
    assert model.repository.count("/") == 1
    if model.weights_file is not None:
        file = find_weights(model.weights_file)
        assert file.licence == model.licence
        assert f"/{model.repository}/resolve/" in file.url
        assert model.backbone is not None  # the registry has no settings file


def test_an_unknown_network_is_refused_with_all_that_exist():
    with pytest.raises(ConfigError, match=r"known are sam2\.1_hiera_tiny, .*sam3_tracker"):
        find_mask_model("sam9")


@pytest.mark.parametrize("name", MASK_MODELS)
def test_a_folder_of_the_user_serves_under_the_networks_name(name, own_dir):
    folder = put(own_dir / name, "config.json", "model.safetensors")
    chosen = choose_mask_weights(name)
    assert chosen.path == str(folder / "model.safetensors")
    assert chosen.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert not chosen.verified
    licence, unverified = chosen.notices
    assert MASK_MODELS[name].licence in licence
    assert "unverified weights" in unverified
    assert checked_file(chosen) == folder / "model.safetensors"


def test_a_folder_or_file_that_is_named_goes_first(own_dir, tmp_path):
    put(own_dir / "edgetam", "config.json", "model.safetensors")
    other = put(tmp_path / "other", "config.json", "model.safetensors", "mine.safetensors")
    for place, name in ((other, "model.safetensors"), (other / "mine.safetensors",) * 2):
        assert choose_mask_weights("edgetam", place).path == str(other / name)


def test_the_registered_file_is_taken_with_its_digest_checked(own_dir):
    (own_dir / f"{TINY}.safetensors").write_bytes(CONTENT)
    chosen = choose_mask_weights(TINY)
    assert chosen.path == str(own_dir / f"{TINY}.safetensors")
    assert not chosen.verified
    assert "unverified" in chosen.notices[0]


def test_registered_weights_in_a_folder_count_as_verified(own_dir, monkeypatch):
    put(own_dir / TINY, "model.safetensors")
    file = replace(find_weights(f"{TINY}.safetensors"), sha256=hashlib.sha256(CONTENT).hexdigest())
    register(monkeypatch, file)
    chosen = choose_mask_weights(TINY)
    assert chosen.verified
    assert len(chosen.notices) == 1


@pytest.mark.parametrize("name", ["sam2.1_hiera_base_plus", "edgetam", "sam3_tracker"])
def test_networks_without_a_known_digest_are_never_fetched(name, monkeypatch):
    monkeypatch.delenv("VRMATTE_OFFLINE")
    with pytest.raises(WeightsError, match=f"into VRMATTE_MODELS_DIR/{name}") as refused:
        choose_mask_weights(name)
    assert MASK_MODELS[name].licence in str(refused.value)
    assert MASK_MODELS[name].repository in str(refused.value)


def test_without_internet_it_is_said_how_to_get_the_file(monkeypatch):
    with pytest.raises(WeightsError, match="VRMATTE_OFFLINE forbids"):
        choose_mask_weights(TINY)
    monkeypatch.delenv("VRMATTE_OFFLINE")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids"):
        choose_mask_weights(TINY)


def test_what_could_hold_code_is_refused_by_its_name(own_dir):
    folder = put(own_dir / "other", "config.json", "sam2.1_hiera_tiny.pt")
    with pytest.raises(WeightsError, match="no safetensors file"):
        choose_mask_weights(TINY, folder / "sam2.1_hiera_tiny.pt")


def test_a_network_whose_shape_is_not_known_needs_its_settings(own_dir):
    put(own_dir / "edgetam", "model.safetensors")
    with pytest.raises(WeightsError, match=r"lacks config\.json"):
        choose_mask_weights("edgetam")
    put(own_dir / TINY, "model.safetensors")
    assert choose_mask_weights(TINY).model == TINY


def test_missing_and_changed_files_are_told(own_dir):
    folder = put(own_dir / "edgetam", "config.json")
    with pytest.raises(WeightsError, match="can't read"):
        choose_mask_weights("edgetam")
    put(folder, "model.safetensors")
    chosen = choose_mask_weights("edgetam")
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(WeightsError, match="changed since this run began"):
        checked_file(chosen)


_WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import vrmatte
from vrmatte.cli.main import main
from vrmatte.errors import ConfigError
from vrmatte.masks import sam2_loading, sam2_source, source
from vrmatte.matting.engines.choose import choose_engine
from vrmatte.pipeline import process_chunk

sys.argv = ["vrmatte", "--help"]
try:
    main()
except SystemExit as left:
    assert not left.code, left.code
try:
    sam2_loading.require_packages({name!r})
except ConfigError as error:
    print("SAID:", error)
assert not {missing!r} & sys.modules.keys()
"""


@pytest.mark.slow
@pytest.mark.parametrize("missing", [{"torch", "transformers"}, {"transformers"}])
def test_all_else_works_without_the_extra_which_is_asked_for_in_one_line(missing):
    paths = str(SOURCES)
    said = subprocess.run(
        [sys.executable, "-c", _WITHOUT.format(missing=missing, name=TINY)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert "Usage" in said.stdout
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("SAID:")]
    assert "install vrmatte[sam2]" in line
