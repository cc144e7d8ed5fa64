"""`vrmatte clean` frees what nobody needs, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.brightness import MATTES_ALONE, brightness_config
from support.job_process import JobProcess
from support.media.media_fixtures import write_clip
from vrmatte.commands.clean import CleanedJob, clean_output
from vrmatte.commands.render import render_output
from vrmatte.commands.run import matte_video
from vrmatte.commands.verify import verify_output
from vrmatte.errors import InputError, OutputError, OutputLockedError, StoppedError
from vrmatte.jobs.job_folder import open_job_folder
from vrmatte.settings.config import Config

STEM = "clip_LR_180"
PACKED = "clip_FISHEYE190_alpha.mp4"


def settings(*files: str, **more: Any) -> Config:
    told: dict[str, Any] = {
        "output": {"deliver": files, "report": "json"},
        "processing": {"chunk_size": 5},
    }
    return brightness_config(MATTES_ALONE, told, more)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / f"{STEM}.mp4"
    write_clip(path, frames=15)
    return path


@pytest.fixture(scope="module")
def made(source, tmp_path_factory) -> Path:
    """A finished directory; take a copy."""
    out = tmp_path_factory.mktemp("made") / "out"
    matte_video(source, out, settings("matte-lossless", "greenscreen"))
    return out


@pytest.fixture
def out(made, tmp_path) -> Path:
    shutil.copytree(made, tmp_path / "out")
    return tmp_path / "out"


def job_folder(out: Path) -> Path:
    return out / ".vrmatte" / STEM


def files(folder: Path) -> dict[Path, bytes]:
    """Content of all files but locks and journals, which cleaning itself writes to."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".lock", ".owner", ".jsonl")
    }


def chunk_files(out: Path) -> set[str]:
    return {path.name for path in job_folder(out).glob("chunks/*/*")}


def freed(jobs: tuple[CleanedJob, ...]) -> dict[str, int]:
    return {each.what: each.files for job in jobs for each in job.freed}


def stopped_after(chunks: int, source: Path, out: Path, config: Config) -> None:
    asked = iter([*[False] * chunks, True])
    with pytest.raises(StoppedError):
        matte_video(source, out, config, stop=lambda: next(asked))


def test_a_finished_directory_has_nothing_to_free(out):
    before = files(out)
    assert freed(clean_output(out)) == {}
    assert files(out) == before


def test_leftovers_go_and_the_rest_stays(out, source):
    kept = files(out)
    halves = [
        job_folder(out) / "chunks" / "000001" / "greenscreen.mp4.part",
        out / "clip_LR_180_greenscreen.mp4.part",
    ]
    orphan = job_folder(out) / "chunks" / "000001" / "greenscreen.mp4"
    aside = out / ".vrmatte" / "set-aside" / f"{STEM}-123" / "chunks" / "000000" / "matte.mkv"
    aside.parent.mkdir(parents=True)
    for path in (*halves, orphan, aside):
        path.write_bytes(b"x" * 1000)
    strangers = out / "other.mp4.part"
    strangers.write_text("a download of somebody")
    dry = clean_output(out, dry_run=True)
    assert all(path.exists() for path in (*halves, orphan, aside))
    assert clean_output(out) == dry
    assert freed(dry) == {"half-written": 2, "set aside by --fresh": 1, "unused chunks": 1}
    assert sum(each.bytes for each in dry[0].freed) == 4000
    assert strangers.exists()
    strangers.unlink()
    assert not (out / ".vrmatte" / "set-aside").exists()
    assert {path: kept[path] for path in kept if "manifest" not in path.name} == {
        path: content for path, content in files(out).items() if "manifest" not in path.name
    }
    assert all(piece.problem is None for piece in verify_output(out))
    assert matte_video(source, out, settings("matte-lossless", "greenscreen")).frames == 15


def test_chunks_kept_beside_finished_files_go(source, tmp_path):
    out = tmp_path / "out"
    config = settings("greenscreen", performance={"preserve_intermediates": True})
    matte_video(source, out, config)
    assert "greenscreen.mp4" in chunk_files(out)
    assert freed(clean_output(out)) == {"unused chunks": 3}
    assert {"matte.mkv", "state.npz"} <= chunk_files(out)
    assert "greenscreen.mp4" not in chunk_files(out)
    assert all(piece.problem is None for piece in verify_output(out))


def test_mattes_of_another_part_of_the_video_go(out, source):
    part = settings("matte-lossless", "greenscreen", input={"end": 0.16})
    part = part.model_copy(update={"output": part.output.model_copy(update={"overwrite": True})})
    beyond = [p for p in job_folder(out).glob("chunks/*/*") if p.parent.name != "000000"]
    report = matte_video(source, out, part)
    assert report.frames == 5
    assert freed(clean_output(out)) == {"unused chunks": len(beyond)}
    assert len(list(job_folder(out).glob("chunks/*"))) == 1
    assert all(piece.problem is None for piece in verify_output(out))


def test_mattes_go_where_asked_for_and_files_stay(out, source):
    finished = {path: path.read_bytes() for path in out.glob("*.m*")}
    stored = len(list(job_folder(out).glob("chunks/*/*")))
    (job,) = clean_output(out, "mattes")
    assert freed((job,)) == {"mattes": stored}
    assert "`render` can't write further files" in job.notices[0]
    assert chunk_files(out) == set()
    assert {path: path.read_bytes() for path in out.glob("*.m*")} == finished
    assert all(piece.problem is None for piece in verify_output(out))
    with pytest.raises(OutputError, match="mattes of 3 of 3 chunks"):
        render_output(out, lambda config: settings("alpha-packed"))
    matte_video(source, out, settings("matte-lossless", "greenscreen", "alpha-packed"))
    assert (out / PACKED).exists()


def test_all_leaves_finished_files_alone(out):
    wanted = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    (job,) = clean_output(out, "all")
    assert "`verify`" in job.notices[0]
    assert files(out) == wanted
    assert [path.name for path in out.iterdir() if path.is_dir()] == []
    with pytest.raises(InputError, match="holds no vrmatte job"):
        verify_output(out)


@pytest.mark.parametrize("scope", ["leftovers", "mattes"])
def test_an_unfinished_job_keeps_what_a_run_goes_on_from(source, tmp_path, scope):
    out = tmp_path / "out"
    stopped_after(2, source, out, settings("greenscreen"))
    kept = chunk_files(out)
    assert {"matte.mkv", "state.npz", "greenscreen.mp4"} <= kept
    (job,) = clean_output(out, scope)
    assert job.unfinished == ("clip_LR_180_greenscreen.mp4",)
    assert "everything a run needs to continue is kept" in job.notices[0]
    assert chunk_files(out) == kept
    made = {path: path.stat().st_mtime_ns for path in job_folder(out).glob("chunks/*/matte.mkv")}
    matte_video(source, out, settings("greenscreen"))
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_an_unfinished_job_goes_whole_where_asked_for(source, tmp_path):
    out = tmp_path / "out"
    stopped_after(1, source, out, settings("greenscreen"))
    (job,) = clean_output(out, "all")
    assert job.unfinished == ("clip_LR_180_greenscreen.mp4",)
    assert not (out / ".vrmatte").exists()


def test_a_file_moved_away_makes_its_job_unfinished(out):
    (out / "clip_LR_180_greenscreen.mp4").unlink()
    (job,) = clean_output(out, "mattes")
    assert job.unfinished == ("clip_LR_180_greenscreen.mp4",)
    assert "matte.mkv" in chunk_files(out)


@pytest.mark.parametrize("scope", ["leftovers", "mattes", "all"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_it_waits_for_no_run(out, scope, dry_run):
    before = files(out)
    with (
        open_job_folder(out, STEM, fresh=False),
        pytest.raises(OutputLockedError),
    ):
        clean_output(out, scope, dry_run=dry_run)
    assert files(out) == before


@pytest.mark.parametrize("scope", ["leftovers", "mattes", "all"])
@pytest.mark.parametrize(
    "place", ["chunks/000009", "chunks/000000/greenscreen.mp4", "../set-aside/x-1/chunks"]
)
def test_links_are_not_followed(out, tmp_path, scope, place):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.part").write_text("mine")
    link = job_folder(out) / place
    (job_folder(out) / "../set-aside/x-1").resolve().mkdir(parents=True)
    link.symlink_to(outside, target_is_directory=True)
    with pytest.raises(OutputError, match="is a link"):
        clean_output(out, scope)
    assert (outside / "precious.part").exists()


@pytest.mark.parametrize("which", ["job", "work"])
def test_a_linked_folder_is_refused(out, tmp_path, which):
    folder = job_folder(out) if which == "job" else job_folder(out).parent
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere, target_is_directory=True)
    before = files(elsewhere)
    with pytest.raises(OutputError, match="is a link"):
        clean_output(out, "all")
    assert files(elsewhere) == before


def test_a_directory_without_jobs_is_refused(tmp_path):
    (tmp_path / "film.mp4.part").touch()
    with pytest.raises(InputError, match="holds no vrmatte job"):
        clean_output(tmp_path, "all")
    assert (tmp_path / "film.mp4.part").exists()


def test_names_in_a_manifest_lead_nowhere_else(out, tmp_path):
    import sqlite3

    (tmp_path / "evil.mp4.part").write_text("mine")
    manifest = sqlite3.connect(job_folder(out) / "manifest.sqlite")
    manifest.execute("UPDATE fact SET value = '\"../evil.mp4\"' WHERE name LIKE 'file_name:%'")
    manifest.commit()
    manifest.close()
    clean_output(out, "all")
    assert (tmp_path / "evil.mp4.part").exists()


def test_a_broken_manifest_hinders_only_what_reads_it(out):
    for path in job_folder(out).glob("manifest.sqlite-*"):
        path.unlink()
    (job_folder(out) / "manifest.sqlite").write_text("no database at all " * 500)
    with pytest.raises(OutputError, match="manifest can't be used"):
        clean_output(out)
    clean_output(out, "all")
    assert not (out / ".vrmatte").exists()


def vrmatte(tmp_path: Path, *arguments: object, code: int = 0) -> JobProcess:
    job = JobProcess([str(argument) for argument in arguments], tmp_path / "log")
    assert job.wait() == code, job.errors
    return job


def test_the_command_line_tells_what_goes(out, tmp_path):
    (job_folder(out) / "chunks" / "000000" / "matte.mkv.part").write_bytes(b"x" * 2_000_000)
    dry = vrmatte(tmp_path, "clean", out, "--dry-run").output
    assert "would be deleted" in " ".join(dry.split())  # tables wrap the names of deep folders
    assert "2.0 MB" in dry
    (job,) = json.loads(vrmatte(tmp_path, "clean", out, "--json").output)
    assert job["freed"] == [{"job": STEM, "what": "half-written", "files": 1, "bytes": 2000000}]
    assert "nothing to delete" in vrmatte(tmp_path, "clean", out).output
    told = vrmatte(tmp_path, "clean", out, "--mattes", "--all", code=2).errors
    assert told.startswith("vrmatte: --mattes and --all")


def test_the_command_line_refuses_while_a_run_works(out, tmp_path):
    with open_job_folder(out, STEM, fresh=False):
        told = vrmatte(tmp_path, "clean", out, code=6).errors
    assert "another run is writing here" in told
