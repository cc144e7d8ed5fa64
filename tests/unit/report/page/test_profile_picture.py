from __future__ import annotations

import numpy as np
import pytest

from vrmatte.profiling.run_profile import Profile, RunProfile, StageProfile
from vrmatte.report.page.profile_picture import _BOTTOM, _LEFT, _RIGHT, _TOP, profile_picture

MATTE = (240, 150, 50)
DECODE = (66, 122, 189)
MEMORY = (200, 0, 110)


def chunk(matte_ms=60.0, decode_ms=40.0, rss=300_000_000, frames=10, **more: float) -> Profile:
    stages = {"decode": StageProfile(1, decode_ms * frames, 0)}
    stages["wait for frames"] = StageProfile(1, 0, 500)
    stages["matte"] = StageProfile(1, matte_ms * frames, 0)
    stages |= {f"file:{name}": StageProfile(1, ms * frames, 0) for name, ms in more.items()}
    wall = sum(stage.wall_ms for stage in stages.values())
    return Profile(frames, wall, wall, stages, rss, rss, None, None, 1, 1)


def drawn(*chunks: Profile, title: str = "clip") -> np.ndarray:
    return profile_picture(title, RunProfile.of(dict(enumerate(chunks))))


def rows_of(picture: np.ndarray, colour: tuple[int, int, int], columns: slice) -> int:
    """The most pixels of a colour above each other."""
    plot = picture[:, columns]
    return int((plot == np.array(colour, np.uint8)).all(axis=2).sum(axis=0).max())


PLOT = slice(_LEFT, _RIGHT)


def test_a_stage_is_as_high_as_its_time():
    picture = drawn(chunk(matte_ms=60, decode_ms=40))
    height = _BOTTOM - _TOP
    # 100 ms reach the scale's top, 5 lines of 20 ms; lines and memory cover a few pixels.
    assert rows_of(picture, MATTE, PLOT) == pytest.approx(0.6 * height, abs=14)
    assert rows_of(picture, DECODE, PLOT) == pytest.approx(0.4 * height, abs=14)


def test_a_chunk_that_took_twice_the_time_has_a_bar_twice_as_high():
    picture = drawn(chunk(60, 0), chunk(30, 0))
    middle = (_LEFT + _RIGHT) // 2
    first = rows_of(picture, MATTE, slice(_LEFT, middle))
    second = rows_of(picture, MATTE, slice(middle, _RIGHT))
    assert first == pytest.approx(2 * second, abs=14)


def test_the_memory_line_is_higher_where_more_was_taken():
    picture = drawn(chunk(rss=100_000_000), chunk(rss=400_000_000))
    rows, columns = np.nonzero((picture[:, PLOT] == np.array(MEMORY, np.uint8)).all(axis=2))
    assert rows[columns < columns.mean()].mean() > rows[columns > columns.mean()].mean() + 50


def test_files_have_a_colour_each():
    picture = drawn(chunk(a=30.0, b=30.0, c=30.0))
    top = picture[_TOP:_BOTTOM, (_LEFT + _RIGHT) // 2 - 30]
    shown = {tuple(int(v) for v in pixel) for pixel in top}
    assert {(205, 70, 65), (60, 185, 200), (190, 185, 50)} <= shown


@pytest.mark.parametrize("count", [1, 2, 149, 151, 1000])
def test_any_number_of_chunks_has_room(count):
    picture = drawn(*[chunk()] * count)
    assert picture.shape == (640, 1280, 3)
    assert rows_of(picture, MATTE, PLOT) > 200
    assert rows_of(picture, MATTE, slice(_RIGHT + 2, _RIGHT + 60)) == 0


def test_chunks_without_measurable_time_are_drawn():
    assert drawn(chunk(0, 0, rss=0)).shape == (640, 1280, 3)


def test_a_long_title_ends_within_the_picture():
    picture = drawn(chunk(), title="очень длинное имя " * 30)
    assert (picture[:50, -20:] == 255).all()


def test_more_files_than_the_legend_has_room_for_stay_within_the_picture():
    picture = drawn(chunk(**{f"file_number_{n}_with_a_very_long_name": 3.0 for n in range(30)}))
    assert (picture[-10:] == 255).all()
    assert (picture[:, -10:] == 255).all()
