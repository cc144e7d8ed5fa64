"""The commands `score`, `compare`, `preview` and `run --sample`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from support.brightness import BRIGHTNESS_OPTIONS
from support.media.deliverable_runs import run, write_source
from vrmatte.cli.main import app
from vrmatte.deliverable_kinds import DeliverableName
from vrmatte.errors import ConfigError
from vrmatte.settings.choices import (
    PRESETS,
    EngineName,
    MatteKind,
    OnDamage,
    PresetName,
)


@pytest.fixture(scope="module")
def outs(tmp_path_factory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("cli")
    clip = write_source(folder)
    for name in ("a", "b"):
        run(clip, folder / name, output__deliver=("matte-lossless", "matte", "ffv1-alpha"))
    return clip, folder / "a", folder / "b"


def typed(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_files_of_one_run_are_one_matte(outs):
    """Grey 10 bit HEVC in limited range and straight alpha, each against the lossless matte."""
    truth = next(iter(outs[1].glob("*_matte.mkv")))
    for name in ("*_matte.mp4", "*rgba.mkv"):
        told = json.loads(typed("score", next(iter(outs[1].glob(name))), truth, "--json"))
        assert told["frames"] == 10
        assert told["scores"]["whole"]["mad"] < 6  # HEVC's loss in eyes of 96 px
        assert told["scores"]["whole"]["iou"] > 0.97


def test_tables_name_every_metric(outs):
    truth = next(iter(outs[1].glob("*_matte.mkv")))
    text = typed("score", truth, truth, "--trimap", truth, "--every", 2)
    for word in ("MAD", "MSE", "SAD", "Grad", "Conn", "dtSSD", "MESSDdt", "band MAD", "IoU"):
        assert word in text
    assert "MAD-T" in text


def test_equal_runs_compare_as_equal(outs, tmp_path):
    told = json.loads(typed("compare", outs[1], outs[2], "--json", "--picture", tmp_path / "d.png"))
    assert told["between"]["scores"]["whole"]["mad"] == 0
    assert told["settings"] == {}
    assert (tmp_path / "d.png").stat().st_size > 0
    assert "motion and flicker" in typed("compare", outs[1], outs[2])


def test_a_preview_is_drawn(outs, tmp_path):
    picture = tmp_path / "p.png"
    words = ("preview", outs[0], "--at", "0.1", "-o", picture, *BRIGHTNESS_OPTIONS)
    assert json.loads(typed(*words, "--json"))["picture"] == str(picture)
    assert str(picture.name) in typed(*words)


def test_a_sample_prints_its_estimate(outs, tmp_path):
    words = ("run", outs[0], "-o", tmp_path, "--deliver", "matte-lossless", *BRIGHTNESS_OPTIONS)
    assert "wall time" in typed(*words, "--sample", "10s")
    assert json.loads(typed(*words, "--sample", "10s", "--json"))["estimate"]["frames"] == 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "a.mp4", "-o", "x", "--sample", "0s"), "longer than 0 s"),
        (("run", "a.mp4", "--sample", "5s"), "no output directory"),
        (("run", "-o", "x", "--sample", "5s"), "no source video"),
    ],
)
def test_wrong_values_are_refused(words, said):
    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(app, list(words), catch_exceptions=False)


CHOICES = [
    ("run", "--engine", EngineName),
    ("run", "--on-damage", OnDamage),
    ("run", "--preset", PresetName),
    ("preview", "--engine", EngineName),
    ("demo", "--engine", EngineName),
    ("score", "--as", MatteKind),
]


@pytest.mark.parametrize(("command", "option", "choices"), CHOICES)
def test_help_and_errors_list_every_choice_of_the_settings(command, option, choices):
    """The names come from the settings, so a new engine needs no new help text."""
    runner = CliRunner()
    texts = [runner.invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output]
    refused = runner.invoke(app, [command, "a", "b", option, "nonsense"], env={"COLUMNS": "200"})
    assert refused.exit_code == 2
    for text in (*texts, refused.output):
        assert all(name in text for name in get_args(choices))


def test_help_lists_every_deliverable():
    for command in ("run", "render"):
        text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "400"}).output
        assert all(name in text for name in get_args(DeliverableName))


def test_preset_names_are_those_of_the_presets():
    assert get_args(PresetName) == tuple(PRESETS)
