from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from support.report_contents import NASTY, boxes, content, facts, look, summary
from vrmatte.frames import YUV420P, ColorTags, PlanarFrame
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.quality.measures import MEASURES
from vrmatte.report.page.page import render_page
from vrmatte.report.page.pictures import (
    WHOLE,
    FrameLook,
    Window,
    encoded,
    window_around,
)
from vrmatte.report.page.quality_view import groups, quality_cards
from vrmatte.report.page.svg import VARIABLES
from vrmatte.report.page.wording import clock, duration, measured, size

MOST_BYTES = 5_000_000


class Reader(HTMLParser):
    """Collects a page's elements, its ids and addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.addresses.append(value or "")


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(content())


def test_every_part_is_there(page):
    for part in ("files", "notices", "people", "worst", "samples", "quality", "stereo", "time"):
        assert f'<section id="{part}">' in page
    for words in ("GPL-3.0", "5" * 64, "digest not known", "from chunk 1", "frame 2 is shown"):
        assert words in page
    assert "off by 0.10 of 255 on average" in page
    assert "100 packets, equal to the source&#39;s" in page
    assert "600 MB" in page
    assert "people.file" in page  # differs from its default


def test_a_page_of_little_is_a_page():
    bare = facts() | {"stereo": None, "profile": None, "damage": None, "notices": []}
    bare |= {"stage_seconds": {}, "files": [], "eased": [], "seconds": 0}
    empty = {"people": (), "scores": None, "agreement": (), "worst": (), "samples": ()}
    page = render_page(content(facts=bare, shots=(), **empty))
    for part in ("people", "worst", "samples", "quality", "stereo", "notices"):
        assert f'id="{part}"' not in page
        assert f'href="#{part}"' not in page


def test_one_frame_makes_a_page():
    assert "<svg" in render_page(content(last=1, worst=(), scores=summary(points=2)))


def test_text_of_others_stays_text():
    told = facts(NASTY) | {"engine": NASTY, "rate": NASTY, "precision": NASTY}
    told["stage_seconds"] = {f"file:{NASTY}": 3.0}
    told["failures"] = [{"chunk": 0, "piece": NASTY, "frames": [0, 5], "error": NASTY}]
    plain, nasty = Reader(render_page(content())), Reader(render_page(content(facts=told)))
    assert nasty.tags.count("script") == plain.tags.count("script") == 1
    assert "alert(1)" in render_page(content(facts=told))  # as text


def test_formulas_in_names_are_not_drawn():
    told = facts() | {"stage_seconds": {r"file:$\frac{$": 3.0}}
    assert r"$\frac{$" in render_page(content(facts=told))


def test_nothing_is_asked_of_a_network(page):
    for address in Reader(page).addresses:
        assert address.startswith(("data:", "#"))
    assert not re.search(r"url\((?!#)|@import|//cdn", page)
    assert "default-src 'none'" in page


def test_only_the_pages_own_script_may_run(page):
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert len(script) == 1


def test_the_same_values_give_the_same_bytes(page):
    assert render_page(content()) == page


def test_ids_are_used_once_and_links_lead_somewhere(page):
    found = Reader(page)
    assert len(set(found.ids)) == len(found.ids)
    links = {address[1:] for address in found.addresses if address.startswith("#")}
    assert links <= set(found.ids)
    assert {"frame-40", "shot-2"} <= set(found.ids)


def test_drawings_take_their_colours_from_the_page(page):
    assert "#f0" not in page.split("</style>")[1]
    style = page.split("<style>")[1].split("</style>")[0]
    for variable in VARIABLES:  # light, dark by preference, dark by choice
        assert len(re.findall(rf"--{variable}:", style)) == 3, variable


def test_stability_never_stands_without_fine_structure():
    for group in groups():
        for name in group:
            beside = MEASURES[name].beside
            assert beside is None or beside in group
    together = next(group for group in groups() if "unrest" in group)
    assert "fine_share" in together


def test_fine_structure_that_was_not_measured_is_told_beside_stability():
    left_out = frozenset({"fine_share"})
    cards = quality_cards(content(scores=summary(without=left_out)))
    unrest, fine = MEASURES["unrest"].label, MEASURES["fine_share"].label
    card = next(c for c in cards if unrest in [m.label for m in c.measures])
    assert [m.plot for m in card.measures if m.label == fine] == [""]
    assert "Not measured in this run" in render_page(content(scores=summary(without=left_out)))


def test_every_measure_says_what_is_good_and_how_it_is_fooled(page):
    for card in quality_cards(content()):
        for measure in card.measures:
            assert measure.good
            assert measure.fooled
    assert page.count("<b>Fooled by:</b>") == len(MEASURES) - 1  # the eyes' agreement has no series


def test_long_and_noisy_runs_stay_small():
    sizes = [640] * 3 + [480] * 8
    pictures = encoded([look(n, px, noise=True) for n, px in enumerate(sizes)])
    assert all(len(each.layers) == 3 for each in pictures)
    many = tuple(boxes(n % 3, 10 * n, 10 * n + 9) for n in range(1000))
    told = facts() | {"notices": ["x" * 10_000] * 5000}
    made = content(
        facts=told, people=many, samples=pictures, scores=summary(points=600), shots=content().shots
    )
    assert len(render_page(made).encode()) < MOST_BYTES


def test_pictures_that_never_fit_are_left_out_from_the_end():
    pictures = encoded([look(n, 96, noise=True) for n in range(5)], most_bytes=40_000)
    assert pictures[0].layers
    assert not pictures[-1].layers
    assert sum(each.bytes for each in pictures) <= 40_000


@pytest.mark.parametrize("eye", [HalfEquirect(1000), Fisheye(1000, 190.0)])
def test_a_window_holds_the_box_with_room(eye):
    window = window_around([AngularBox(10, 50, -30, 30)], eye)
    yaw, pitch = np.radians([[10.0, 50], [-30.0, 30]])
    x, y = eye.pixels(np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch))
    assert (x / 1000 > window.left).all()
    assert (x / 1000 < window.right).all()
    assert (y / 1000 > window.top).all()
    assert (y / 1000 < window.bottom).all()
    assert window.right - window.left == pytest.approx(window.bottom - window.top)
    assert window.right - window.left < 0.6


def test_without_boxes_the_whole_eye_is_shown():
    assert window_around([None], HalfEquirect(100)) == WHOLE
    assert window_around([AngularBox(-90, 90, -90, 90)], HalfEquirect(100)) == WHOLE


def test_the_same_part_is_cut_out_of_both_eyes():
    y = np.zeros((100, 200), np.uint8)
    y[30:60, 40:70] = y[30:60, 140:170] = 235
    chroma = np.full((50, 100), 128, np.uint8)
    frame = PlanarFrame(y, chroma, chroma, YUV420P, ColorTags())
    shown = FrameLook.of(0, frame, y, 640, Window(0.405, 0.305, 0.695, 0.595))
    assert shown.source.min() > 250
    assert shown.matte.min() == 235


@pytest.mark.parametrize(
    ("seconds", "digits", "told"),
    [(0, 1, "0:00.0"), (59.96, 1, "1:00.0"), (3661, 0, "1:01:01"), (-1.5, 1, "-0:01.5")],
)
def test_times(seconds, digits, told):
    assert clock(seconds, digits) == told


def test_figures_in_words():
    assert [duration(s) for s in (4.2, 65, 3720)] == ["4.2 s", "1 min 5 s", "1 h 2 min"]
    assert [size(n) for n in (999, 12_345, 7_000_000)] == ["999 bytes", "12.3 kB", "7 MB"]
    assert [measured(0.034, u) for u in ("%", "px", "x", "")] == [
        "3.4 %",
        "0.03 px",
        "0.03 x",
        "0.034",
    ]
