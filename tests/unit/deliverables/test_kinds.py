"""The table of deliverables is the only place that knows their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pytest

from support.media.media_fixtures import people_picture, write_clip
from vrmatte.compose.composer import RECIPES, ComposeRecipe, ComposerInputs, eye_of, matte_frame
from vrmatte.compose.view import Preparation
from vrmatte.deliverable_kinds import (
    KINDS,
    AlphaContainer,
    DeliverableKind,
    DeliverableName,
    Encoding,
    View,
)
from vrmatte.deliverables.decide import decide_deliverables, source_view
from vrmatte.frames import PlanarFrame
from vrmatte.media.decode import read_frames
from vrmatte.media.probe import probe
from vrmatte.media.scan import scan_timeline
from vrmatte.settings.config import Config, OutputConfig

SOURCE = Path(__file__).parents[3] / "src" / "vrmatte"
SILHOUETTE = cast(DeliverableName, "silhouette")


def test_the_table_has_every_name_and_a_composer_for_each():
    assert tuple(KINDS) == get_args(DeliverableName)
    assert KINDS.keys() == RECIPES.keys()
    assert all(kind.name == name for name, kind in KINDS.items())


def test_alpha_containers_are_the_kinds_with_alpha():
    with_alpha = {n for n, kind in KINDS.items() if kind.has_alpha or kind.view is View.PACKED}
    assert set(get_args(AlphaContainer)) == with_alpha


def test_settings_of_the_table_are_keys_of_output():
    for kind in KINDS.values():
        assert set(kind.settings) <= set(OutputConfig.model_fields)


# --- a deliverable that only this test knows -----------------------------------------------------


def compose_silhouette(inputs: ComposerInputs) -> Any:
    """Return a composer of white people on black, as tall as half the source."""

    def compose(prepared):
        hard = np.where(prepared.shown_matte[::2, ::2] > 127, 255, 0).astype(np.uint8)
        return matte_frame(hard, inputs.layout, inputs.color.full_range)

    return compose


@pytest.mark.parametrize(("together", "files"), [(True, 1), (False, 2)])
def test_a_row_and_a_composer_are_all_that_a_deliverable_takes(
    tmp_path, monkeypatch, together, files
):
    row = DeliverableKind(
        SILHOUETTE,
        "outline",
        ".mp4",
        Encoding.GREY,
        needs_frames=False,
        settings=("background_color",),
        version=3,
    )
    monkeypatch.setitem(KINDS, SILHOUETTE, row)
    recipe = ComposeRecipe(compose_silhouette, lambda width, height: (width // 2, height // 2))
    monkeypatch.setitem(RECIPES, SILHOUETTE, recipe)
    path = tmp_path / "clip_LR_180.mp4"
    write_clip(path, size=(256, 128), frames=2, draw=people_picture)
    source = probe(path)
    output = OutputConfig(encoder="software", maintain_sbs=together)
    config = Config(output=output.model_copy(update={"deliver": (SILHOUETTE,)}))

    made, notices = decide_deliverables(source, source.time_base, Fraction(30), config)

    assert notices == ()
    assert len(made) == files
    first = made[0]
    eye = "LR" if together else "left"
    assert first.file_name == f"clip_{eye}_180_outline.mp4"
    assert first.size == ((128, 64) if together else (64, 64))
    assert first.encoder.encoder == "libx265", "grey is kept in 10 bits"
    assert first.takes_boxes
    assert first.kind.carries_streams
    assert first.parameters == {"background_color": (0, 255, 0), "silhouette": 3} | (
        {} if together else {"eye": "left"}
    )

    view = source_view(source, config)
    (frame,) = read_frames(source, scan_timeline(source, lambda _: None), 0, 1)
    matte = np.full(frame.y.shape, 200, np.uint8)
    inputs = ComposerInputs(config, view, first.layout, first.color, first.estimates_foreground)
    composer = RECIPES[first.name].build(inputs)
    image = eye_of(composer(Preparation(view, config)(frame, matte)), first.eye)
    assert isinstance(image, PlanarFrame)
    assert (image.width, image.height) == first.size
    assert (image.y == 940).all()


# --- the source asks for properties, never for names ---------------------------------------------

OTHER_MEANINGS = {
    "matte": ("cli", "commands", "jobs", "outputs", "pipeline", "profiling", "report", "plan"),
    "png": ("media/sequences",),
    "exr": ("media/sequences",),
    "confidence": ("people/",),
    "alpha-packed": ("commands/read_mattes", "cli/score"),
}
"""Places where a word isn't a deliverable: the matte store's piece and stage, formats of image
files, a detector's confidence, and what `--as` says of a file whose matte is scored."""
LISTS = ("deliverable_kinds", "cli/demo", "media/sequences/sequence")
"""Modules that list names: the table, the files of the demonstration, formats of image files."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).with_suffix("").as_posix()
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def words_in(node: ast.AST) -> set[str]:
    return {
        constant.value
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and constant.value in KINDS
    }


def asked_for(tree: ast.Module) -> Iterator[str]:
    """Names of deliverables in comparisons, and in patterns of `match`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                if isinstance(side, ast.Constant | ast.Tuple | ast.List | ast.Set | ast.Dict):
                    yield from words_in(side)
        elif isinstance(node, ast.MatchValue | ast.MatchOr):
            yield from words_in(node)


def grouped(tree: ast.Module) -> Iterator[set[str]]:
    """Groups of nothing but deliverables, which only a test of membership can need."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and len(node.elts) > 1:
            words = {e.value if isinstance(e, ast.Constant) else None for e in node.elts}
            if words <= KINDS.keys():
                yield words


def faults(name: str, tree: ast.Module) -> list[str]:
    compared = [
        f"{name} compares with {word!r}"
        for word in asked_for(tree)
        if not name.startswith(OTHER_MEANINGS.get(word, ()))
    ]
    lists = [] if name in LISTS else [f"{name} lists {sorted(w)}" for w in grouped(tree)]
    return compared + lists


def test_no_module_compares_with_the_name_of_a_deliverable():
    assert [fault for name, tree in modules() for fault in faults(name, tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        'x = name == "greenscreen"',
        'x = "xalpha" != name',
        'x = name in ("preview", "other")',
        'SCREEN = frozenset({"preview", "overlay"})',
        'match name:\n    case "confidence":\n        pass',
    ],
)
def test_comparisons_with_names_are_noticed(code):
    assert faults("jobs/finish", ast.parse(code))
    assert not faults("jobs/finish", ast.parse('KINDS["greenscreen"].has_alpha == True'))
