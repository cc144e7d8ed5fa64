import math

import cv2
import numpy as np
import pytest

from support.matting.matting_engines import (
    PaintingEngine,
    constant,
    guide_of_the_eye,
    guide_of_the_view,
    halves,
    side_by_side,
    trail_engine,
)
from support.matting.matting_pictures import deeper, from_rgb, soft_rgb
from vrmatte.frames import EYES, YUV420P, ColorTags, PlanarFrame, half_of
from vrmatte.geometry.projection import HalfEquirect
from vrmatte.geometry.viewport import Turn, Viewport, ViewportPath, homography
from vrmatte.matting.network_input import sampled_rgb
from vrmatte.matting.view_window import FEATHER_SHARE, ViewWindow
from vrmatte.matting.viewport_matting import SizedPath, ViewportMatting, _reduction

EYE = 512
SIZE = (96, 128)
GREY = ColorTags(full_range=True)
THREE = {
    "a": Viewport(-30, 0, 60, 70),
    "b": Viewport(0, 5, 50, 80),
    "c": Viewport(28, -6, 55, 66),
}
DENSE = (192, 256)
"""Network pixels enough to read a small eye without reducing it."""


def still(name, viewport, size=SIZE, first=0, last=100):
    turn = Turn(first, viewport.yaw_deg, viewport.pitch_deg)
    fov = viewport.hfov_deg, viewport.vfov_deg
    return SizedPath(ViewportPath(name, first, last, *fov, (turn,), viewport.projection), *size)


def through(viewports, engine, size=SIZE, eye_px=EYE):
    return ViewportMatting(
        engine, [still(name, v, size) for name, v in viewports.items()], HalfEquirect(eye_px)
    )


def grey_eye(luma):
    """A colourless eye whose R, G and B are luma / 255."""
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return PlanarFrame(luma, chroma, chroma, YUV420P, GREY)


def grey_frame(left, right=None):
    return side_by_side(grey_eye(left), grey_eye(left if right is None else right))


def soft_luma(eye_px=EYE, seed=0):
    return np.rint(255 * soft_rgb(eye_px, eye_px, seed)[..., 0]).astype(np.uint8)


def direction(lon_deg, lat_deg):
    lon, lat = math.radians(lon_deg), math.radians(lat_deg)
    vector = math.sin(lon) * math.cos(lat), -math.sin(lat), math.cos(lon) * math.cos(lat)
    return tuple(np.array([part]) for part in vector)


def dot(lon_deg, lat_deg, eye_px=EYE, sigma_px=4.0):
    """A dark eye with one soft bright dot."""
    (x,), (y,) = HalfEquirect(eye_px).pixels(*direction(lon_deg, lat_deg))
    columns, rows = np.meshgrid(*2 * [np.arange(eye_px) + 0.5])
    falloff = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma_px**2))
    return np.rint(20 + 220 * falloff).astype(np.uint8)


def middle_of(brightness):
    """Where the brightest spot is, in continuous coordinates."""
    weight = np.clip(brightness - brightness.min() - 0.5 * np.ptp(brightness), 0, None)
    rows, columns = np.indices(brightness.shape) + 0.5
    return (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()


def border_of(viewport, size=SIZE, eye_px=EYE):
    x, y = np.meshgrid(*2 * [np.arange(eye_px) + 0.5])
    u, v = viewport.picture(*size).pixels(*HalfEquirect(eye_px).directions(x, y))
    return np.minimum(np.minimum(u, size[0] - u), np.minimum(v, size[1] - v))


def well_inside(viewports, size=SIZE):
    """Where one of the viewports at least sees more than its feather."""
    borders = [border_of(viewport, size) for viewport in viewports]
    return np.max(borders, axis=0) > FEATHER_SHARE * min(size) + 1e-3


def steps(matte, where):
    """How much neighbours differ, of which both lie in an area."""
    return np.concatenate(
        [
            np.abs(np.diff(matte.astype(int), axis=axis))[
                where[:-1] & where[1:] if axis == 0 else where[:, :-1] & where[:, 1:]
            ]
            for axis in (0, 1)
        ]
    )


@pytest.mark.parametrize("names", ["a", "ab", "bc", "abc"])
def test_an_opaque_matte_has_no_seam(names):
    viewports = {name: THREE[name] for name in names}
    frame = grey_frame(soft_luma())
    matte = through(viewports, PaintingEngine(constant(1.0))).matte(0, frame)
    inside = well_inside(viewports.values())
    for eye in EYES:
        assert (half_of(matte, eye)[inside] == 255).all()
        seen = np.max([border_of(v) for v in viewports.values()], axis=0) > 0
        assert (half_of(matte, eye)[~seen] == 0).all()


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.83])
def test_a_half_transparent_matte_has_no_seam(alpha):
    matte = through(THREE, PaintingEngine(constant(alpha))).matte(0, grey_frame(soft_luma()))
    inside = well_inside(THREE.values())
    for eye in EYES:
        # Each view's part is rounded, so neighbours differ by a level or two at most.
        assert steps(half_of(matte, eye), inside).max() <= 2
        assert np.abs(half_of(matte, eye)[inside] - 255 * alpha).max() <= 1.5


def test_mattes_that_disagree_fade_into_each_other():
    engine = PaintingEngine(constant(1.0), {"b": constant(0.0)})
    pair = {name: THREE[name] for name in "ab"}
    matte = half_of(through(pair, engine).matte(0, grey_frame(soft_luma())), EYES[0])
    inside = well_inside(pair.values())
    assert {0, 255} <= set(matte[inside].tolist())
    # They overlap by 25 degrees, 70 pixels; a plain cut would be a step of 255. Steps are largest
    # in the corners in which the borders of both meet.
    assert steps(matte, inside).max() < 40
    deeper_in = np.max([border_of(viewport) for viewport in pair.values()], axis=0) > 12
    assert steps(matte, deeper_in).max() < 15


def test_a_border_fades_over_its_feather():
    viewport = THREE["b"]
    engine = PaintingEngine(constant(1.0))
    matte = half_of(through({"b": viewport}, engine).matte(0, grey_frame(soft_luma())), EYES[0])
    # Some 3.8 network pixels of about 2 eye pixels, more towards the sides.
    assert steps(matte, np.ones_like(matte, bool)).max() < 75


@pytest.mark.parametrize("names", ["b", "abc"])
def test_a_matte_that_is_the_picture_comes_back_exactly(names):
    viewports = {name: THREE[name] for name in names}
    left, right = soft_luma(seed=1), soft_luma(seed=2)
    matte = through(viewports, PaintingEngine(guide_of_the_eye)).matte(0, grey_frame(left, right))
    inside = well_inside(viewports.values())
    for eye, truth in zip(EYES, (left, right), strict=True):
        difference = np.abs(half_of(matte, eye).astype(int) - truth)[inside]
        # Alone a view is exact; parts of several are rounded one by one.
        assert difference.max() <= (0 if len(names) == 1 else 1)


@pytest.mark.parametrize("eye_px", [512, 1024, 2048])
def test_what_the_network_sees_comes_back_where_it_was(eye_px):
    """There and back, at network size: smooth things stay where they are in both eyes."""
    viewport = Viewport(20, -10, 50, 66)
    left, right = (
        np.rint(255 * soft_rgb(32, 32, seed)[..., 0]).astype(np.float32) for seed in (1, 2)
    )
    eyes = [
        np.rint(cv2.resize(one, (eye_px, eye_px), interpolation=cv2.INTER_CUBIC)).astype(np.uint8)
        for one in (left, right)
    ]
    matting = through({"v": viewport}, PaintingEngine(guide_of_the_view), DENSE, eye_px)
    matte = matting.matte(0, grey_frame(*eyes))
    inside = border_of(viewport, DENSE, eye_px) > FEATHER_SHARE * min(DENSE) + 1e-3
    for eye, truth in zip(EYES, eyes, strict=True):
        difference = np.abs(half_of(matte, eye).astype(int) - truth)[inside]
        # Linear reading cuts the tips of a picture by a level or two; a network pixel is up to
        # three levels of it, so a shift by one would show.
        assert difference.max() <= 3
        assert difference.mean() < 0.6


@pytest.mark.parametrize("eye_px", [512, 1024, 2048])
@pytest.mark.parametrize(
    ("viewport", "left_deg", "right_deg"),
    [
        (Viewport(0, 0, 60, 70), (12, 20), (-12, -9)),
        (Viewport(40, 25, 60, 70), (52, 33), (30, 5)),
        (Viewport(-50, -30, 60, 70), (-60, -20), (-38, -45)),
        (Viewport(10, 0, 150, 150, "stereographic"), (60, 20), (-40, -40)),
    ],
)
def test_the_network_looks_the_right_way_with_each_eye(eye_px, viewport, left_deg, right_deg):
    engine = PaintingEngine(guide_of_the_view)
    places = (left_deg, right_deg)
    sigma_px = 4 * eye_px / 512
    frame = grey_frame(*(dot(*place, eye_px, sigma_px) for place in places))
    matte = through({"v": viewport}, engine, DENSE, eye_px).matte(0, frame)
    for eye, seen, place in zip(EYES, engine.seen["v"], places, strict=True):
        (u,), (v,) = viewport.picture(*DENSE).pixels(*direction(*place))
        # A dot seen askew is a little lopsided.
        assert np.hypot(*np.subtract(middle_of(seen.mean(axis=0)), (u, v))) < 0.25
        (x,), (y,) = HalfEquirect(eye_px).pixels(*direction(*place))
        away = np.hypot(*np.subtract(middle_of(half_of(matte, eye).astype(float)), (x, y)))
        assert away < 0.25 * eye_px / 512


def test_sizes_by_which_eyes_are_reduced():
    factors = []
    for eye_px in (512, 1024, 2048, 4096):
        window = ViewWindow(Viewport(0, 0, 60, 70), DENSE, HalfEquirect(eye_px))
        factors.append(_reduction(window))
        density, _ = window.viewport.scales(*DENSE)
        assert eye_px / math.pi / factors[-1] >= 0.9 * density or factors[-1] == 1
    assert factors == [1, 2, 4, 8]
    # Chroma must be whole, too.
    assert _reduction(ViewWindow(Viewport(0, 0, 60, 70), DENSE, HalfEquirect(2050))) == 1


def test_beyond_the_edge_there_is_no_black():
    engine = PaintingEngine(guide_of_the_view)
    frame = grey_frame(np.full((EYE, EYE), 180, np.uint8))
    views = {"edge": Viewport(85, 40, 70, 70), "behind": Viewport(170, -60, 50, 50)}
    matte = through(views, engine).matte(0, frame)
    for name in views:
        assert np.abs(engine.seen[name] - 180 / 255).max() < 1e-6
    inside = border_of(views["edge"]) > FEATHER_SHARE * min(SIZE) + 1e-3
    assert (half_of(matte, EYES[1])[inside] == 180).all()


def test_a_viewport_that_sees_nothing_of_the_eye_is_harmless():
    views = {"behind": Viewport(180, 0, 40, 40), "b": THREE["b"]}
    frame = grey_frame(soft_luma())
    matte = through(views, PaintingEngine(constant(1.0))).matte(0, frame)
    alone = through({"b": THREE["b"]}, PaintingEngine(constant(1.0))).matte(0, frame)
    assert np.array_equal(matte, alone)
    nothing = through({"behind": views["behind"]}, PaintingEngine(constant(1.0))).matte(0, frame)
    assert not nothing.any()


def test_no_viewport_no_matte():
    engine = PaintingEngine(constant(1.0))
    matting = ViewportMatting(engine, [still("a", THREE["a"], first=2, last=3)], HalfEquirect(EYE))
    frame = grey_frame(soft_luma())
    mattes = [matting.matte(index, frame) for index in range(5)]
    assert [bool(matte.any()) for matte in mattes] == [False, False, True, False, False]
    assert mattes[0].shape == (EYE, 2 * EYE)
    assert not ViewportMatting(engine, [], HalfEquirect(EYE)).matte(0, frame).any()


def test_ten_bits_give_the_same_matte():
    frame = side_by_side(*(from_rgb(soft_rgb(2 * EYE, 2 * EYE, seed)) for seed in (1, 2)))
    deep = side_by_side(*(deeper(eye) for eye in halves(frame)))
    size = (48, 64)
    for paint, levels in ((guide_of_the_eye, 0), (guide_of_the_view, 2)):
        mattes = [
            through(THREE, PaintingEngine(paint), size, 2 * EYE).matte(0, one)
            for one in (frame, deep)
        ]
        assert mattes[0].any()
        # Ten bits are rounded more finely once the picture is reduced and resampled.
        assert np.abs(mattes[0].astype(int) - mattes[1]).max() <= levels


def test_colour_reaches_the_network():
    engine = PaintingEngine(constant(1.0))
    colour = np.array([0.8, 0.3, 0.1])
    eye = from_rgb(np.broadcast_to(colour, (EYE, EYE, 3)))
    through({"b": THREE["b"]}, engine).matte(0, side_by_side(eye, eye))
    assert engine.seen["b"].shape == (2, 3, *SIZE[::-1])
    # Rounded codes, as in sampling whole eyes.
    assert np.abs(engine.seen["b"] - colour[:, None, None]).max() < 0.0065
    assert np.abs(engine.seen["b"][0] - sampled_rgb(eye, *SIZE)).max() < 1e-6


def test_paths_of_one_name_are_refused():
    with pytest.raises(ValueError, match="must differ"):
        ViewportMatting(
            PaintingEngine(constant(1)), [still("a", THREE["a"])] * 2, HalfEquirect(EYE)
        )


FOLLOWING = (
    ViewportPath("person/1", 0, 9, 50, 60, (Turn(0, 0, 0), Turn(3, 7, 0), Turn(4, 9, -4))),
    ViewportPath("2", 2, 6, 45, 45, (Turn(2, -20, 10), Turn(5, -26, 10))),
    ViewportPath("late", 5, 10, 60, 60, (Turn(5, 30, 0), Turn(8, 22, 3))),
)
FRAMES = 10
SMALL_EYE = 128
SMALL = (48, 64)


def following(engine):
    return ViewportMatting(
        engine, [SizedPath(path, *SMALL) for path in FOLLOWING], HalfEquirect(SMALL_EYE)
    )


@pytest.fixture(scope="module")
def footage():
    return [grey_frame(*(soft_luma(SMALL_EYE, 2 * i + e) for e in (0, 1))) for i in range(FRAMES)]


def test_windows_open_turn_and_close_as_paths_say(footage):
    engine = PaintingEngine(constant(1.0))
    matting = following(engine)
    expected = {
        0: [("forget", "2"), ("forget", "late"), ("infer", "person/1")],
        1: [("infer", "person/1")],
        2: [("infer", "2"), ("infer", "person/1")],
        3: [("turn", "person/1"), ("infer", "2"), ("infer", "person/1")],
        4: [("turn", "person/1"), ("infer", "2"), ("infer", "person/1")],
        5: [("turn", "2"), ("infer", "2"), ("infer", "late"), ("infer", "person/1")],
        6: [("forget", "2"), ("infer", "late"), ("infer", "person/1")],
        7: [("infer", "late"), ("infer", "person/1")],
        8: [("turn", "late"), ("infer", "late"), ("infer", "person/1")],
        9: [("forget", "person/1"), ("infer", "late")],
    }
    for index, frame in enumerate(footage):
        engine.calls.clear()
        matting.matte(index, frame)
        assert engine.told("forget", "turn", "infer") == expected[index]
        maps = {call[1]: call[2] for call in engine.calls if call[0] == "turn"}
        for path in FOLLOWING:
            if path.name in maps:
                turned = homography(path.at(index - 1), path.at(index), SMALL)
                assert np.array_equal(maps[path.name], turned)


def copied(state):
    return {name: tensor.copy() for name, tensor in state.items()}


@pytest.fixture(scope="module")
def uninterrupted(footage):
    """Mattes of a run in one go, and the engine's state after each frame."""
    engine = trail_engine()
    matting = following(engine)
    states, mattes = [{}], []
    for index, frame in enumerate(footage):
        mattes.append(matting.matte(index, frame))
        states.append(copied(engine.state()))
    return mattes, states


@pytest.mark.parametrize("start", range(FRAMES))
def test_resuming_at_any_frame_gives_the_same_mattes(footage, uninterrupted, start):
    mattes, states = uninterrupted
    engine = trail_engine()
    engine.restore(copied(states[start]))
    matting = following(engine)
    for index in range(start, FRAMES):
        assert np.array_equal(matting.matte(index, footage[index]), mattes[index])
        state = engine.state()
        assert state.keys() == states[index + 1].keys()
        assert all(np.array_equal(state[name], states[index + 1][name]) for name in state)


@pytest.mark.parametrize("start", range(FRAMES))
def test_going_back_after_a_failure_gives_the_same_mattes(footage, uninterrupted, start):
    """The same matting may go on elsewhere once the engine has the state of that place."""
    mattes, states = uninterrupted
    engine = trail_engine()
    matting = following(engine)
    for index in range(start, min(FRAMES, start + 4)):
        matting.matte(index, footage[index])
    back = (start + 6) % FRAMES
    engine.restore(copied(states[back]))
    for index in range(back, FRAMES):
        assert np.array_equal(matting.matte(index, footage[index]), mattes[index])


def test_a_frame_shown_again_turns_nothing_again(footage):
    engine = PaintingEngine(constant(1.0))
    matting = following(engine)
    matting.matte(2, footage[2])
    engine.calls.clear()
    for _ in range(3):
        matting.matte(3, footage[3])
    assert engine.told("turn") == [("turn", "person/1")]


def test_the_test_engine_notices_a_turn_left_out(footage, uninterrupted):
    mattes, states = uninterrupted
    engine = trail_engine()
    engine.turn = lambda *_: None
    engine.restore(copied(states[3]))
    assert not np.array_equal(following(engine).matte(3, footage[3]), mattes[3])
