from __future__ import annotations

from types import SimpleNamespace

from vrmatte.cli.terminal import print_report


def report(folder, **more):
    """What `print_report` reads of a report."""
    checks = {"frames": 90, "streams": [{"packets": 12}]}
    path = folder / "clip_greenscreen.mp4"
    file = SimpleNamespace(path=str(path), bytes=1_500_000, checks=checks)
    facts = {
        "source": "/videos/clip_LR_180.mp4",
        "frames": 90,
        "rate": "30",
        "engine": "rvm",
        "seconds": 12.3,
        "files": (file,),
        "profile": None,
        "stereo": None,
        "stage_seconds": {"matte": 10.0},
    }
    return SimpleNamespace(**{**facts, **more})


def test_files_and_checks_are_shown_and_stage_times_are_not(tmp_path, capsys):
    print_report(report(tmp_path))
    text = capsys.readouterr().out
    assert "1.5 MB" in text
    assert "90/90 frames" in text
    assert "ms per frame" not in text


def test_spans_in_which_the_eyes_disagree_are_named(tmp_path, capsys):
    people = [
        {"person": 2, "flagged": [[39, 44], [60, 60]]},
        {"person": 3, "flagged": []},
        {"person": 4, "flagged": [[number, number] for number in range(0, 50, 10)]},
    ]
    print_report(report(tmp_path, stereo={"people": people}))
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Look at")]
    assert lines[0].endswith(
        "the eyes disagree about person 2 at 0:01.3 to 0:01.5, 0:02.0 to 0:02.0"
    )
    assert len(lines) == 2
    assert lines[1].endswith("and in 2 more spans")


def test_the_report_is_named_where_it_is(tmp_path, capsys):
    print_report(report(tmp_path))
    assert "Report" not in capsys.readouterr().out
    (tmp_path / "clip_LR_180_report.json").touch()
    (tmp_path / "clip_LR_180_report.html").touch()
    print_report(report(tmp_path))
    assert f"Report   {tmp_path / 'clip_LR_180_report.html'}" in capsys.readouterr().out
