from __future__ import annotations

import json
import os

import pytest

from vrmatte.errors import DiskFullError, OutputError, OutputLockedError
from vrmatte.jobs.job_folder import job_stems, open_job_folder


def test_folders_are_made_and_found_again(tmp_path):
    out = tmp_path / "deep" / "out"
    with open_job_folder(out, "clip", fresh=False) as place:
        assert place.folder == out / ".vrmatte" / "clip"
        assert place.chunk_folder(12).name == "000012"
        assert job_stems(out) == []
        (place.folder / "manifest.sqlite").touch()
    assert job_stems(out) == ["clip"]


def test_one_run_at_a_time(tmp_path):
    with (
        open_job_folder(tmp_path, "clip", fresh=False),
        pytest.raises(OutputLockedError, match=f"process {os.getpid()} on "),
        open_job_folder(tmp_path, "clip", fresh=False),
    ):
        pass
    with open_job_folder(tmp_path, "clip", fresh=False):
        pass


def test_other_videos_may_be_worked_on_beside(tmp_path):
    with (
        open_job_folder(tmp_path, "one", fresh=False),
        open_job_folder(tmp_path, "two", fresh=False),
    ):
        pass


@pytest.mark.parametrize("owner", ["", "{}", "[]", json.dumps({"pid": "x", "host": "y"})])
def test_an_unreadable_owner_is_unknown(tmp_path, owner):
    with open_job_folder(tmp_path, "clip", fresh=False):
        (tmp_path / ".vrmatte" / "clip.owner").write_text(owner)
        with (
            pytest.raises(OutputLockedError, match="process unknown"),
            open_job_folder(tmp_path, "clip", fresh=False),
        ):
            pass


def test_what_a_killed_run_left_half_written_is_swept(tmp_path):
    with open_job_folder(tmp_path, "clip", fresh=False) as place:
        place.chunk_folder(0).mkdir(parents=True)
        part, whole = place.chunk_folder(0) / "a.mkv.part", place.chunk_folder(0) / "a.mkv"
        part.touch()
        whole.touch()
    with open_job_folder(tmp_path, "clip", fresh=False):
        assert (part.exists(), whole.exists()) == (False, True)


def test_fresh_keeps_earlier_work_under_another_name(tmp_path):
    for _ in range(2):
        with open_job_folder(tmp_path, "clip", fresh=True) as place:
            assert not list(place.folder.iterdir())
            (place.folder / "manifest.sqlite").touch()
    assert len(list((tmp_path / ".vrmatte" / "set-aside").glob("clip-*/manifest.sqlite"))) == 1
    assert job_stems(tmp_path) == ["clip"]


def test_a_full_disk_stops_before_a_chunk(tmp_path):
    with open_job_folder(tmp_path, "clip", fresh=False) as place:
        place.check_space()
        with pytest.raises(DiskFullError, match=r"only \d+ MB free"):
            place.check_space(reserve_bytes=1 << 60)


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="can't write"),
        open_job_folder(tmp_path / "file", "clip", fresh=False),
    ):
        pass
