"""Files made later from stored mattes are those one run would have made; `verify` agrees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from support.faults import around
from support.media.deliverable_runs import (
    ALL,
    FRAMES,
    STEM,
    contents,
    run,
    settings_of,
    write_source,
)
from vrmatte.cli.render import render as render_command
from vrmatte.commands.render import render_output
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import ConfigError, InputError, OutputError, VrmatteError
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.media.probe import probe
from vrmatte.media.scan import fingerprint
from vrmatte.people.document import write_people
from vrmatte.settings.config import Config
from vrmatte.subjects import People, Person, Shot, SourceIdentity, TimedBox

FIRST = ("matte-lossless",)
LATER = tuple(name for name in ALL if name not in FIRST)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("clip"), audio=("aac",))


@pytest.fixture(scope="module")
def in_one_run(clip, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("one")
    run(clip, out, output__deliver=ALL)
    return contents(out)


@contextmanager
def no_networks() -> Iterator[None]:
    """Fail where an engine or a detector is chosen or opened."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a network was asked for")

    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "commands.run.choose_engine",
            "commands.run.resolve_device",
            "jobs.chunks.load_engine",
            "scout.open_detector",
        ):
            around(patch, f"vrmatte.{name}", refuse)
        yield


def change(**settings: Any) -> Callable[[Config], Config]:
    """An earlier run's settings but for these, "section__key"."""

    def changed(config: Config) -> Config:
        tree = config.model_dump(mode="json")
        for name, value in settings.items():
            section, key = name.split("__")
            tree[section][key] = value
        return Config.model_validate(tree)

    return changed


def render(out: Path, **settings: Any) -> Any:
    with no_networks():
        return render_output(out, change(**settings))


def problems(out: Path) -> dict[str, str]:
    return {piece.name: piece.problem for piece in verify_output(out) if piece.problem}


# --- the same files ------------------------------------------------------------------------------


def test_files_made_later_are_the_same_to_the_byte(clip, in_one_run, tmp_path):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    (report,) = render(out, output__deliver=list(LATER))
    assert [file.deliverable for file in report.files] == list(LATER)
    assert contents(out) == in_one_run
    assert problems(out) == {}
    assert len(verify_output(out)) == len(ALL) + 1


def test_eyes_edges_and_projection_later(clip, tmp_path):
    how = {
        "output__deliver": ["matte-lossless", "ffv1-alpha", "png", "greenscreen"],
        "output__maintain_sbs": False,
        "output__projection": "fisheye",
        "output__edge": {"choke_px": 1, "feather_px": 2},
    }
    run(clip, tmp_path / "one", **how)
    out = tmp_path / "later"
    run(clip, out, output__deliver=("preview",))
    render(out, **how)
    made = contents(out)
    made.pop("clip_2D_preview.mp4")
    assert made == contents(tmp_path / "one")
    assert problems(out) == {}


def test_a_part_later(clip, tmp_path):
    part = {"input__start": 0.1, "input__end": 0.25}
    run(clip, tmp_path / "one", output__deliver=("png", "greenscreen"), **part)
    out = tmp_path / "later"
    run(clip, out, output__deliver=("png",), **part)
    render(out, output__deliver=["greenscreen"])
    assert contents(out) == contents(tmp_path / "one")
    assert problems(out) == {}


def test_rendering_again_makes_nothing_anew(clip, tmp_path):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    render(out, output__deliver=["greenscreen", "png"])
    made = {path: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    render(out, output__deliver=["greenscreen", "png"])
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_several_jobs_of_one_directory(clip, tmp_path):
    out = tmp_path / "out"
    other = write_source(tmp_path, "other_LR_180", frames=6)
    run(clip, out, output__deliver=FIRST)
    run(other, out, output__deliver=FIRST)
    reports = render(out, output__deliver=["matte", "png"])
    assert [Path(report.source).name for report in reports] == [clip.name, other.name]
    assert {path.name for path in out.glob("*_png")} == {"clip_LR_180_png", "other_LR_180_png"}
    assert problems(out) == {}


def test_json_is_one_document(clip, tmp_path, capsys):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    settings = ["output.edge.choke_px=1", "output.verify_alpha=false"]
    render_command(out, "greenscreen,matte", [], settings, json=True)
    (report,) = json.loads(capsys.readouterr().out)
    assert [file["deliverable"] for file in report["files"]] == ["greenscreen", "matte"]
    assert report["settings"]["output"]["edge"]["choke_px"] == 1


def test_what_a_key_cant_do_is_told_once(clip, tmp_path, capsys):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST, output__quality=30)
    render_command(out, "matte", [], ["output.apple_boxes=false"])
    assert "has no effect" not in capsys.readouterr().err
    render_command(out, "matte", [], ["output.background_color=[1, 2, 3]"])
    assert capsys.readouterr().err.count("output.background_color") == 1


# --- refusals ------------------------------------------------------------------------------------


def chunk_file(out: Path, name: str, index: int = 1) -> Path:
    return out / ".vrmatte" / STEM / "chunks" / f"{index:06d}" / name


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [Path.unlink, flip])
def test_missing_and_damaged_mattes_are_refused(clip, tmp_path, damage):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    damage(chunk_file(out, "matte.mkv"))
    with pytest.raises(OutputError, match=r"1 of 3 chunks \(first: 1\) are missing or damaged"):
        render(out, output__deliver=["matte"])
    assert not list(out.glob("*.mp4"))


@pytest.mark.parametrize("damage", [Path.unlink, flip])
def test_an_engines_memory_is_not_needed(clip, tmp_path, damage):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    damage(chunk_file(out, "state.npz"))
    render(out, output__deliver=["matte"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"processing__scale_factor": 0.25}, r"views\.whole_eyes: 0\.5 -> 0\.25"),
        ({"processing__overlap_frames": 3}, r"start\.warmup: 30 -> 3"),
        ({"input__end": 0.2}, r"frames: \[4, 8\] -> \[4, 6\]"),
        ({"matting__engine": "rvm"}, "matting.engine = rvm"),
    ],
)
def test_settings_that_change_mattes_are_refused(clip, tmp_path, settings, told):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    before = contents(out)
    with pytest.raises(OutputError, match=told) as refused:
        render(out, output__deliver=["matte"], **settings)
    assert "\n" not in str(refused.value)
    assert "`vrmatte run`" in str(refused.value)
    assert contents(out) == before
    assert problems(out) == {}


def person(keep: bool) -> Person:
    seen = AngularBox(-40.0, 40.0, -50.0, 50.0)
    return Person(1, "person", keep, 0.9, tuple(TimedBox(f, seen, seen, 0.9) for f in (0, 9)))


def write_document(clip: Path, out: Path, *people: Person) -> Path:
    source = probe(clip)
    size = source.width, source.height
    identity = SourceIdentity(fingerprint(clip), FRAMES, *size, source.average_rate or Fraction(30))
    path = out / "clip_people.json"
    out.mkdir(exist_ok=True)
    write_people(People(identity, (Shot(0, FRAMES),), people, ()), path)
    return path


@pytest.fixture
def with_people(clip, tmp_path) -> Path:
    """A run whose people were read from people.json."""
    out = tmp_path / "out"
    write_document(clip, out, person(keep=True))
    settings = settings_of(output__deliver=FIRST, processing__projection="viewport")
    matte_video(clip, out, settings)
    return out


def test_the_same_people_need_no_network(with_people):
    render(with_people, output__deliver=["greenscreen"])
    assert problems(with_people) == {}


def test_edited_people_are_refused(clip, with_people):
    write_document(clip, with_people, person(keep=False))
    with pytest.raises(OutputError, match=r"made from other people or settings \(excluded"):
        render(with_people, output__deliver=["greenscreen"])


def test_lost_people_are_not_looked_for(with_people):
    (with_people / "clip_people.json").unlink()
    with pytest.raises(OutputError, match="made from other people or settings"):
        render(with_people, output__deliver=["greenscreen"])
    assert not (with_people / "clip_people.json").exists()


def test_a_directory_without_a_job_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no vrmatte job"):
        render(tmp_path, output__deliver=["matte"])


def test_a_source_that_is_gone_is_told(tmp_path):
    clip, out = write_source(tmp_path, frames=4), tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    clip.unlink()
    with pytest.raises(VrmatteError, match=clip.name):
        render(out, output__deliver=["matte"])


def test_a_file_without_a_name_of_its_own_is_refused(clip, tmp_path):
    out = tmp_path / "out"
    run(clip, out, output__deliver=("greenscreen",), output__name_template="{stem}")
    with pytest.raises(ConfigError, match="greenscreen of an earlier run"):
        render(out, output__deliver=["matte"])
    assert problems(out) == {}


# --- verify --------------------------------------------------------------------------------------


def swap(folder: Path) -> None:
    one, other = sorted(folder.glob("*_00000[34].*"))
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "changed file": ("clip_LR_180_rgba.mov", flip),
    "changed matte": ("clip_LR_180_matte.mkv", flip),
    "cut file": ("clip_LR_180_rgba.webm", lambda p: p.write_bytes(p.read_bytes()[:-9])),
    "lost file": ("clip_180_LR_XALPHA.mp4", Path.unlink),
    "lost picture": ("clip_LR_180_png", lambda p: next(p.glob("*_000004.png")).unlink()),
    "changed picture": ("clip_LR_180_exr", lambda p: flip(next(p.glob("*_000009.exr")))),
    "swapped pictures": ("clip_LR_180_png", swap),
    "a picture too many": ("clip_LR_180_png", lambda p: (p / "x_000099.png").write_bytes(b"x")),
    "changed listing": ("clip_LR_180_exr", lambda p: flip(p / "frames.json")),
    "lost listing": ("clip_LR_180_png", lambda p: (p / "frames.json").unlink()),
}


@pytest.fixture(scope="module")
def everything(clip, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("everything")
    run(clip, out, output__deliver=ALL)
    return out


@pytest.mark.parametrize("what", DAMAGES)
def test_verify_finds_each_damage(everything, what):
    name, damage = DAMAGES[what]
    target = everything / name
    kept = contents(everything)
    try:
        damage(target)
        assert problems(everything).keys() == {name}
    finally:
        for path, content in kept.items():
            (everything / path).write_bytes(content)
        for path in contents(everything).keys() - kept.keys():
            (everything / path).unlink()
    assert problems(everything) == {}


def test_mattes_made_anew_since_are_not_held_against_a_file(clip, tmp_path):
    out = tmp_path / "out"
    run(clip, out, output__deliver=("ffv1-alpha", "alpha-packed"))
    run(clip, out, output__deliver=("greenscreen",), input__start=0.2)
    assert problems(out) == {}


def test_a_stopped_render_is_told(clip, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(clip, out, output__deliver=FIRST)
    with monkeypatch.context() as patch:
        around(patch, "vrmatte.commands.run.finish_deliverables", _die)
        with pytest.raises(KeyboardInterrupt):
            render(out, output__deliver=["greenscreen"])
    assert problems(out) == {
        "clip_LR_180_greenscreen.mp4": "was not finished; run the same command again"
    }
    render(out, output__deliver=["greenscreen"])
    assert problems(out) == {}


def _die(*_: Any) -> None:
    raise KeyboardInterrupt
