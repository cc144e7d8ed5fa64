from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from vrmatte.errors import ChunkError, ConfigError, DiskFullError, StoppedError
from vrmatte.jobs.run_log import OLD_RUN_LOG_FILE, RUN_LOG_FILE, RunLog, open_run_log
from vrmatte.progress import Event, ignore
from vrmatte.settings.config import Config


def lines(folder: Path, name: str = RUN_LOG_FILE) -> list[dict[str, object]]:
    return [json.loads(text) for text in (folder / name).read_text().splitlines()]


def test_lines_are_json_with_time_and_facts(tmp_path):
    run_log = RunLog(tmp_path)
    run_log.note("chunk begun", chunk=3, folder=tmp_path)
    run_log.note("chunk committed", chunk=3)
    told = lines(tmp_path)
    assert [line["event"] for line in told] == ["chunk begun", "chunk committed"]
    assert told[0]["chunk"] == 3
    assert told[0]["folder"] == str(tmp_path)
    assert told[0]["time"] <= told[1]["time"]  # type: ignore[operator]


@pytest.mark.parametrize("is_detailed", [False, True])
def test_details_are_written_where_asked_for(tmp_path, is_detailed):
    RunLog(tmp_path, is_detailed=is_detailed).note("chunk begun", {"stages": {"matte": 1}})
    (line,) = lines(tmp_path)
    assert ("stages" in line) == ("rss_bytes" in line) == is_detailed


def test_it_is_bounded_and_one_older_file_is_kept(tmp_path):
    run_log = RunLog(tmp_path, longest_bytes=1000)
    for number in range(100):
        run_log.note("notice", number=number)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000
    numbers = [line["number"] for line in lines(tmp_path, OLD_RUN_LOG_FILE) + lines(tmp_path)]
    assert numbers == list(range(100))[-len(numbers) :]
    assert sorted(path.name for path in tmp_path.iterdir()) == [RUN_LOG_FILE, OLD_RUN_LOG_FILE]


def test_an_endless_line_is_left_out(tmp_path):
    RunLog(tmp_path).note("notice", text="x" * 5_000_000)
    (line,) = lines(tmp_path)
    assert line["left_out_bytes"] > 5_000_000  # type: ignore[operator]


def test_a_line_cut_by_a_kill_spoils_no_other(tmp_path):
    (tmp_path / RUN_LOG_FILE).write_text('{"time": 1, "event": "run beg')
    RunLog(tmp_path).note("run begun")
    _, whole = (tmp_path / RUN_LOG_FILE).read_text().splitlines()
    assert json.loads(whole)["event"] == "run begun"


@pytest.mark.parametrize("hurdle", ["folder", "gone"])
def test_one_that_cannot_be_written_is_told_once(tmp_path, hurdle):
    folder = tmp_path / "job"
    folder.mkdir()
    if hurdle == "folder":
        (folder / RUN_LOG_FILE).mkdir()
    else:
        shutil.rmtree(folder)
    told: list[Event] = []
    run_log = RunLog(folder, observer=told.append)
    run_log.note("run begun")
    run_log.note("run ended")
    assert len(told) == 1
    assert "can't be written" in str(told[0])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_stops_the_run(tmp_path):
    (tmp_path / RUN_LOG_FILE).symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="journal"):
        RunLog(tmp_path).note("run begun")


def failing(folder: Path, error: BaseException) -> dict[str, object]:
    with pytest.raises(type(error)), open_run_log(folder, Config(), ignore):
        raise error
    return lines(folder)[-1]


def test_a_run_tells_machine_and_settings(tmp_path):
    with open_run_log(tmp_path, Config(), ignore):
        pass
    (line,) = lines(tmp_path)
    assert line["event"] == "run begun"
    assert {"version", "python", "cpus", "memory_bytes", "settings"} <= line.keys()


def test_errors_raised_on_purpose_are_told_without_a_traceback(tmp_path):
    line = failing(tmp_path, ConfigError("so not"))
    assert (line["event"], line["exit_code"]) == ("run failed", 2)
    assert (line["error"], line["text"]) == ("ConfigError", "so not")
    assert "traceback" not in line


def test_unexpected_errors_keep_their_traceback(tmp_path):
    line = failing(tmp_path, ZeroDivisionError("oh"))
    assert (line["error"], line["exit_code"]) == ("ZeroDivisionError", 1)
    assert "test_run_log.py" in str(line["traceback"])


def test_errors_that_stand_for_others_tell_those(tmp_path):
    error = ChunkError("chunk 3 failed")
    error.__cause__ = RuntimeError("the network broke")
    line = failing(tmp_path, error)
    assert line["exit_code"] == 4
    assert "the network broke" in str(line["traceback"])


@pytest.mark.parametrize("error", [StoppedError("stopped"), KeyboardInterrupt()])
def test_stopping_is_no_failure(tmp_path, error):
    line = failing(tmp_path, error)
    assert line["event"] == "run stopped"
    assert "traceback" not in line


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_disk_full_at_the_end_hides_no_error(tmp_path):
    def fails_when_the_disk_is_full() -> None:
        with open_run_log(tmp_path, Config(), ignore):
            (tmp_path / RUN_LOG_FILE).unlink()
            (tmp_path / RUN_LOG_FILE).symlink_to("/dev/full")
            raise ConfigError("so not")

    with pytest.raises(ConfigError):
        fails_when_the_disk_is_full()
