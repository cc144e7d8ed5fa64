from __future__ import annotations

import cv2
import numpy as np
import pytest

from vrmatte.profiling.run_profile import Profile, RunProfile, StageProfile
from vrmatte.report.page.plots import profile_png

DECODE, MATTE = (31, 119, 180), (255, 127, 14)
MEMORY = (255, 20, 147)


def chunk(matte_ms=60.0, decode_ms=40.0, rss=300_000_000, frames=10, **more: float) -> Profile:
    stages = {"decode": StageProfile(1, decode_ms * frames, 0)}
    stages["wait for frames"] = StageProfile(1, 0, 500)
    stages["matte"] = StageProfile(1, matte_ms * frames, 0)
    stages |= {f"file:{name}": StageProfile(1, ms * frames, 0) for name, ms in more.items()}
    wall = sum(stage.wall_ms for stage in stages.values())
    return Profile(frames, wall, wall, stages, rss, rss, None, None, 1, 1)


def drawn(*chunks: Profile) -> np.ndarray:
    data = profile_png(RunProfile.of(dict(enumerate(chunks))))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def is_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (picture == np.array(colour, np.uint8)).all(axis=2)


def height_of(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """The most pixels of a colour in a column."""
    return int(is_colour(picture, colour).sum(axis=0).max())


def test_stages_are_as_high_as_their_times():
    picture = drawn(chunk(matte_ms=60, decode_ms=40))
    assert picture.shape == (640, 1280, 3)
    assert height_of(picture, MATTE) == pytest.approx(1.5 * height_of(picture, DECODE), abs=8)


def test_a_chunk_of_twice_the_time_is_twice_as_high():
    columns = is_colour(drawn(chunk(60, 1), chunk(30, 1)), MATTE).sum(axis=0)
    first, second = (int(np.median(part)) for part in np.array_split(columns[columns > 50], 2))
    assert first == pytest.approx(2 * second, abs=8)


def test_the_memory_line_is_higher_for_more_memory():
    rows, columns = np.nonzero(is_colour(drawn(chunk(rss=1_000_000), chunk(rss=4_000_000)), MEMORY))
    columns, rows = columns[rows > 70], rows[rows > 70]
    line = columns < 800  # the axis label is to the right
    columns, rows = columns[line], rows[line]
    assert rows[columns == columns.min()].mean() > rows[columns == columns.max()].mean() + 50


@pytest.mark.parametrize("count", [1, 2, 151, 1000])
def test_any_number_of_chunks_fits(count):
    picture = drawn(*[chunk()] * count)
    assert height_of(picture, MATTE) > 200
    assert not is_colour(picture[:, 860:900], MATTE).any()


def test_chunks_without_measurable_time_are_drawn():
    assert drawn(chunk(0, 0, rss=0)).shape == (640, 1280, 3)


def test_many_long_names_stay_within_the_picture():
    picture = drawn(chunk(**{f"$\\frac{n}$_with_a_very_long_name_" * 9: 3.0 for n in range(30)}))
    assert (picture[-4:] == 255).all()
    assert (picture[:, -4:] == 255).all()
