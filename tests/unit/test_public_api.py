"""The names of `import vrmatte`: each is there, typed, documented, and loaded only when used."""

from __future__ import annotations

import ast
import doctest
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import vrmatte
from support.media.media_fixtures import write_clip

NAMES = sorted(vrmatte.__all__)
SHOWN_BY = {"RunReport": "matte_video", "SourceInfo": "probe"}
"""Functions that return what is never constructed by hand."""


def test_type_checkers_see_every_name_where_it_is():
    tree = ast.parse(Path(vrmatte.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = (node for node in block.body if isinstance(node, ast.ImportFrom))
    seen = {alias.asname: f"{node.module}" for node in imports for alias in node.names}
    assert seen == {name: f"vrmatte.{module}" for name, module in vrmatte._HOMES.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_an_example_that_compiles_and_uses_it(name):
    thing = getattr(vrmatte, name)
    examples = doctest.DocTestParser().get_examples(thing.__doc__ or "")
    source = "".join(example.source for example in examples)
    compile(source, name, "exec")
    assert f"vrmatte.{SHOWN_BY.get(name, name)}" in source


def test_the_version_is_that_of_the_package():
    assert vrmatte.__version__ == version("vrmatte")


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        vrmatte.nonsense  # noqa: B018


def test_paths_may_be_text(tmp_path):
    clip, settings = tmp_path / "clip_LR_180.mp4", tmp_path / "settings.yaml"
    write_clip(clip, frames=2)
    settings.write_text("output: {quality: 17}")
    assert vrmatte.probe(str(clip)) == vrmatte.probe(clip)
    assert vrmatte.probe(str(clip)).path == clip
    assert vrmatte.load_config([str(settings)]).config.output.quality == 17


def test_the_import_loads_nothing_else():
    code = "import sys, vrmatte; print([m for m in sys.modules if m.startswith('vrmatte.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
