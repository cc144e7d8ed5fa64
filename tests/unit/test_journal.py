from __future__ import annotations

import json

import pytest

from vrmatte.errors import OutputError
from vrmatte.jobs.journal import JOURNAL_FILE, Journal


def test_lines_are_json_with_time_and_facts(tmp_path):
    journal = Journal(tmp_path, is_on=True)
    journal.note("chunk begun", chunk=3, goes_on_from=tmp_path)
    journal.note("chunk committed", chunk=3)
    lines = [json.loads(text) for text in (tmp_path / JOURNAL_FILE).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["chunk begun", "chunk committed"]
    assert lines[0]["chunk"] == 3
    assert lines[0]["goes_on_from"] == str(tmp_path)
    assert lines[0]["time"] <= lines[1]["time"]


def test_switched_off_it_writes_nothing(tmp_path):
    Journal(tmp_path, is_on=False).note("chunk begun")
    assert not (tmp_path / JOURNAL_FILE).exists()


def test_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(OutputError, match="journal"):
        Journal(tmp_path / "gone", is_on=True).note("chunk begun")
