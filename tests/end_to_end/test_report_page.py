"""The page of a whole run: that it is there, costs no run, and can be looked at anywhere."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from support.browser import opened
from support.faults import around
from support.media.deliverable_runs import run, write_source
from support.report_contents import content
from vrmatte.errors import DiskFullError
from vrmatte.outputs import MATTE_FILE
from vrmatte.progress import Finished, Notice
from vrmatte.report.page.page import render_page

NAME = "<script>_clip_180_LR"
PAGE = "clip_180_LR_report.html"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_source(tmp_path_factory.mktemp("source"))


@pytest.fixture
def page_file(tmp_path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(render_page(content()), encoding="utf-8")
    return path


def test_a_run_leaves_a_page_beside_its_report(tmp_path, source):
    run(source, tmp_path, output__deliver=["matte-lossless"], output__report="html")
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert (tmp_path / "clip_180_LR_report.json").exists()
    assert "1 file finished and verified" in page
    assert page.count('class="compare"') == 3  # samples were decoded
    assert page.count("data:image/jpeg") >= 6
    assert "<figcaption>doubt</figcaption>" in page
    assert not list(tmp_path.rglob("*.part"))


def test_names_of_files_stay_text(tmp_path, source):
    nasty = tmp_path / f"{NAME}.mp4"
    shutil.copy(source, nasty)
    run(nasty, tmp_path / "out", output__deliver=["matte-lossless"], output__report="html")
    page = (tmp_path / "out" / f"{NAME}_report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;_clip" in page
    assert page.count("<script>") == 1


def test_json_alone_is_written_where_that_is_asked_for(tmp_path, source):
    run(source, tmp_path, output__deliver=["matte-lossless"], output__report="json")
    assert (tmp_path / "clip_180_LR_report.json").exists()
    assert not (tmp_path / PAGE).exists()


def test_a_page_that_fails_costs_a_notice(tmp_path, source):
    notices: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Finished) and event.stage == "matte":
            (tmp_path / PAGE).mkdir(exist_ok=True)  # the page can't replace a folder
        notices.extend([event.text] if isinstance(event, Notice) else [])

    report = run(
        source, tmp_path, listen, output__deliver=["matte-lossless"], output__report="html"
    )
    words = f"{PAGE}: can't be written"
    assert any(words in text for text in notices)
    assert any(words in text for text in report.notices)
    facts = json.loads((tmp_path / "clip_180_LR_report.json").read_text())
    assert any(words in text for text in facts["notices"])
    assert len(facts["files"]) == 1
    assert not any((tmp_path / PAGE).iterdir())


def test_a_full_disk_is_reported_as_such(tmp_path, source, monkeypatch):
    def full(path: Path, *_: object, **__: object) -> None:
        if path.name == f"{PAGE}.part":
            raise OSError(errno.ENOSPC, "full", str(path))

    around(monkeypatch, "pathlib.Path.write_text", full)
    with pytest.raises(DiskFullError):
        run(source, tmp_path, output__deliver=["matte-lossless"], output__report="html")


def test_frames_without_mattes_cost_no_page(tmp_path, source):
    def listen(event: object) -> None:
        if isinstance(event, Finished) and event.stage == "verify":
            for matte in tmp_path.rglob(MATTE_FILE):
                matte.unlink()

    run(source, tmp_path, listen, output__deliver=["matte-lossless"], output__report="html")
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert 'class="compare"' not in page
    assert "1 file finished and verified" in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_fits_asks_for_nothing_and_complains_of_nothing(page_file, width, scheme):
    with opened(page_file, width, scheme=scheme) as seen:
        page = seen.page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for image in page.query_selector_all("img"):
            image.scroll_into_view_if_needed()
        loaded = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
        page.wait_for_function(loaded)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in ground.strip("rgb()").split(",")) / 3
        assert (brightness > 200) == (scheme == "light")
        assert len(page.screenshot()) > 10_000
        assert seen.requests == []
        assert seen.complaints == []


def test_text_in_drawings_can_be_read_on_a_phone(page_file):
    with opened(page_file, 360) as seen:
        texts = "[...document.querySelectorAll('.plot text')]"
        heights = seen.page.evaluate(f"{texts}.map(text => text.getBoundingClientRect().height)")
        assert heights
        assert min(heights) >= 9


def test_the_slider_moves_by_keys(page_file):
    with opened(page_file, 1280) as seen:
        slider = seen.page.locator(".compare input").first
        clip = "getComputedStyle(document.querySelector('.compare .over')).clipPath"
        before = seen.page.evaluate(clip)
        slider.focus()
        for _ in range(5):
            seen.page.keyboard.press("ArrowRight")
        assert slider.input_value() == "30"
        assert seen.page.evaluate(clip) != before


def test_the_switch_turns_light_to_dark_and_back(page_file):
    with opened(page_file, 1280) as seen:
        ground = "getComputedStyle(document.body).backgroundColor"
        light = seen.page.evaluate(ground)
        seen.page.locator("#theme").click()
        assert seen.page.evaluate(ground) != light
        seen.page.locator("#theme").click()
        assert seen.page.evaluate(ground) == light


def test_script_in_a_name_does_not_run(tmp_path):
    path = tmp_path / "page.html"
    name = "<img src=x onerror=alert(1)><script>alert(2)"
    path.write_text(render_page(content(name)), encoding="utf-8")
    with opened(path, 1280) as seen:
        alerts: list[str] = []
        seen.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        assert seen.page.locator("h1").inner_text() == name
        assert alerts == []
        assert seen.requests == []


def test_script_that_came_in_is_refused_by_the_page(tmp_path):
    """The second guard, should escaping ever be forgotten somewhere."""
    path = tmp_path / "page.html"
    page = render_page(content()).replace("<main", "<script>document.title = 'taken'</script><main")
    path.write_text(page, encoding="utf-8")
    with opened(path, 1280) as seen:
        assert "taken" not in seen.page.title()
        assert any("Content Security Policy" in text for text in seen.complaints)
