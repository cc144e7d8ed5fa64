import pytest

from vrmatte.geometry.viewport import Turn, Viewport, ViewportPath

PATH = ViewportPath("a", 3, 9, 50, 70, (Turn(3, 1, 2), Turn(5, 10, 2), Turn(8, 10, -4)))


def test_it_is_open_from_first_to_before_last():
    assert [frame for frame in range(12) if PATH.is_open(frame)] == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("frame", "yaw_deg", "pitch_deg"),
    [(3, 1, 2), (4, 1, 2), (5, 10, 2), (7, 10, 2), (8, 10, -4), (0, 1, 2), (99, 10, -4)],
)
def test_it_looks_where_the_last_turn_went(frame, yaw_deg, pitch_deg):
    assert PATH.at(frame) == Viewport(yaw_deg, pitch_deg, 50, 70)


def test_projection_is_passed_on():
    path = ViewportPath("a", 0, 1, 180, 180, (Turn(0, 0, 0),), "stereographic")
    assert path.at(0).projection == "stereographic"


@pytest.mark.parametrize(
    "frames", [(), (4,), (2,), (3, 5, 5), (3, 7, 5), (5, 3)], ids=lambda frames: str(frames)
)
def test_turns_must_begin_at_the_first_frame_and_rise(frames):
    with pytest.raises(ValueError, match="viewport a: turns must begin at frame 3"):
        ViewportPath("a", 3, 9, 50, 70, tuple(Turn(frame, 0, 0) for frame in frames))


@pytest.mark.parametrize("last", [3, 1])
def test_it_must_open(last):
    with pytest.raises(ValueError, match="never opens"):
        ViewportPath("a", 3, last, 50, 70, (Turn(3, 0, 0),))


def test_only_perspective_viewports_turn():
    turns = Turn(0, 0, 0), Turn(1, 5, 0)
    with pytest.raises(ValueError, match="only perspective"):
        ViewportPath("a", 0, 9, 120, 120, turns, "stereographic")
    ViewportPath("a", 0, 9, 120, 120, turns)
