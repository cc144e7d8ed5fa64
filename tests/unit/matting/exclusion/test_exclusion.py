from dataclasses import astuple, dataclass, replace

import cv2
import numpy as np
import pytest

from support.matting.matting_pictures import deeper, from_rgb
from support.media.fisheye_pictures import frame_by_fisheye, matte_by_fisheye
from support.people import person_of
from vrmatte.demo.figure import Appearance
from vrmatte.demo.scene import DemoPerson, Scene, render_pair
from vrmatte.frames import EYES, Eye, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import Fisheye, HalfEquirect
from vrmatte.matting.exclusion.exclusion import STATE_PREFIX, Exclusion
from vrmatte.subjects import ExcludedRegion

EYE_PX = 224
FRAMES = 24
STEP = 6
"""Frames between two boxes."""


# --- two people who cross ------------------------------------------------------------------------


@dataclass
class Clip:
    frames: list
    mattes: list
    visible: np.ndarray
    """Exact alpha of what is seen of each person: (frames, people, eyes, H, W), 0..1."""
    bounds: list
    """Per frame, eye and person: the exact box."""


@pytest.fixture(scope="module")
def crossing():
    """Somebody walks past somebody else who stands further away and is hidden for a moment."""
    dark = Appearance(skin=(0.5, 0.33, 0.24), shirt=(0.25, 0.45, 0.6), trousers=(0.3, 0.28, 0.25))
    seconds = FRAMES / 30
    scene = Scene(
        people=(
            DemoPerson(x_m=-1.0, z_m=1.2, x_speed_m_s=2.0 / seconds),
            DemoPerson(x_m=0.5, z_m=2.0, x_speed_m_s=-0.8 / seconds, look=dark, phase_seconds=0.7),
        )
    )
    pairs = [render_pair(scene, EYE_PX, index) for index in range(FRAMES)]
    near, far = (np.stack([pair.person_alpha[who] for pair in pairs]) for who in (0, 1))
    return Clip(
        [from_rgb(pair.side_by_side() / 255) for pair in pairs],
        [pair.alpha_side_by_side() for pair in pairs],
        np.stack([near, far * (1 - near)], axis=1),
        [[[box_of(alpha[eye]) for alpha in pair.person_alpha] for eye in (0, 1)] for pair in pairs],
    )


def box_of(alpha):
    rows, columns = (np.flatnonzero((alpha > 0.1).any(axis=axis)) for axis in (1, 0))
    degree = alpha.shape[0] / 180
    return AngularBox(
        columns[0] / degree - 90,
        (columns[-1] + 1) / degree - 90,
        90 - (rows[-1] + 1) / degree,
        90 - rows[0] / degree,
    )


def as_detected(box, rng):
    """Cut by up to a tenth, and each side off by up to a degree, as detectors do."""
    width, height = box.width_deg, box.height_deg
    cut = rng.uniform(0.025, 0.05, 4) * (width, -width, height, -height)
    return AngularBox(*(astuple(box) + cut + rng.uniform(-1, 1, 4)))


def people_of(clip, excluded, seed=0):
    rng = np.random.default_rng(seed)
    taken = (*range(0, FRAMES, STEP), FRAMES - 1)
    return [
        person_of(
            who + 1,
            who != excluded,
            0,
            FRAMES,
            taken,
            *(
                tuple(as_detected(clip.bounds[frame][eye][who], rng) for frame in taken)
                for eye in (0, 1)
            ),
        )
        for who in (0, 1)
    ]


def run(exclusion, clip, frames=range(FRAMES)):
    return [exclusion.apply(at, clip.frames[at], clip.mattes[at]) for at in frames]


def share_gone(clip, gated, who, counts=None):
    """How much of a person's visible alpha has left the matte."""
    gone = there = 0.0
    for at, result in enumerate(gated):
        for number, eye in enumerate(EYES):
            before, after = half_of(clip.mattes[at], eye), half_of(result, eye)
            open_share = after / np.maximum(before, 1)
            alpha = clip.visible[at, who, number] * (before > 0)
            if counts is not None:
                alpha = alpha * counts(at, number)
            gone += (alpha * (1 - open_share)).sum()
            there += alpha.sum()
    return gone / there


def outside_overlap(clip):
    """Where not both people's boxes are."""

    def counts(at, eye):
        boxes = clip.bounds[at][eye]
        return ~np.logical_and.reduce([pixels_in(box, EYE_PX) for box in boxes])

    return counts


def pixels_in(box, eye_px):
    at = (np.arange(eye_px) + 0.5) * 180 / eye_px - 90
    inside_x = (at >= box.yaw_min_deg) & (at <= box.yaw_max_deg)
    inside_y = (-at >= box.pitch_min_deg) & (-at <= box.pitch_max_deg)
    return inside_y[:, None] & inside_x[None, :]


@pytest.mark.parametrize("excluded", [0, 1])
@pytest.mark.parametrize("seed", [0, 1])
def test_either_of_two_who_cross_leaves_and_the_other_stays(crossing, excluded, seed):
    gated = run(Exclusion(people_of(crossing, excluded, seed), [], HalfEquirect(EYE_PX)), crossing)
    apart = outside_overlap(crossing)
    assert share_gone(crossing, gated, excluded, apart) >= 0.95
    assert share_gone(crossing, gated, 1 - excluded, apart) <= 0.02
    # Where their boxes overlap too, nearly all pixels go to whom they belong.
    assert share_gone(crossing, gated, excluded) >= 0.95
    assert share_gone(crossing, gated, 1 - excluded) <= 0.05


def test_who_was_hidden_is_known_again(crossing):
    seen = crossing.visible[:, 1].sum(axis=(1, 2, 3))
    assert seen.min() < 0.3 * seen[-1]

    def at_the_end(at, eye):
        return float(at >= FRAMES - 4)

    gated = run(Exclusion(people_of(crossing, 1), [], HalfEquirect(EYE_PX)), crossing)
    assert share_gone(crossing, gated, 1, at_the_end) >= 0.95
    assert share_gone(crossing, gated, 0, at_the_end) <= 0.02


@pytest.mark.parametrize("stop", [1, 9, 14])
def test_going_on_from_a_saved_state_changes_no_bit(crossing, stop):
    people = people_of(crossing, 0)
    whole = run(Exclusion(people, [], HalfEquirect(EYE_PX)), crossing)
    first = Exclusion(people, [], HalfEquirect(EYE_PX))
    run(first, crossing, range(stop))
    state = {name: array.copy() for name, array in first.state().items()}
    assert all(name.startswith(STATE_PREFIX) for name in state)
    assert all(array.dtype == np.float32 for array in state.values())
    second = Exclusion(people, [], HalfEquirect(EYE_PX))
    second.restore(state | {"engine/r1": np.zeros(3, np.float32)})
    rest = run(second, crossing, range(stop, FRAMES))
    assert all(np.array_equal(a, b) for a, b in zip(whole[stop:], rest, strict=True))
    # Without the state it does make a difference, or this test would show nothing.
    if stop == 14:
        cold = run(Exclusion(people, [], HalfEquirect(EYE_PX)), crossing, range(stop, FRAMES))
        assert not all(np.array_equal(a, b) for a, b in zip(cold, rest, strict=True))


def test_the_number_of_threads_does_not_matter(crossing):
    people, threads = people_of(crossing, 0), cv2.getNumThreads()
    results = []
    try:
        for count in (1, 3):
            cv2.setNumThreads(count)
            results.append(run(Exclusion(people, [], HalfEquirect(EYE_PX)), crossing, range(14)))
    finally:
        cv2.setNumThreads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_a_jump_drops_what_was_known(crossing):
    people = people_of(crossing, 0)
    jumped = Exclusion(people, [], HalfEquirect(EYE_PX))
    run(jumped, crossing, range(4))
    ours = run(jumped, crossing, range(10, 16))
    theirs = run(Exclusion(people, [], HalfEquirect(EYE_PX)), crossing, range(10, 16))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_somebody_in_the_place_of_who_has_left_stays(crossing):
    """The far person's box stays where it was although only the near person is there."""
    near = people_of(crossing, 1)[0]
    places = (crossing.bounds[12][0][1], crossing.bounds[12][1][1])
    ghost = person_of(2, False, 6, 18, (12,), (places[0],), (places[1],))
    alone = [np.rint(alpha * 255).astype(np.uint8) for alpha in crossing.visible[:, 0]]
    mattes = [np.concatenate(list(eyes), axis=1) for eyes in alone]
    clip = replace(crossing, mattes=mattes)
    gated = run(Exclusion([near, ghost], [], HalfEquirect(EYE_PX)), clip)
    assert share_gone(clip, gated, 0) <= 0.02


# --- plain shapes --------------------------------------------------------------------------------


def by_fisheye(clip, fov_deg):
    def alpha_by_fisheye(pair):
        both = matte_by_fisheye(np.rint(255 * np.concatenate(pair, axis=1)).astype("u1"), fov_deg)
        return [half_of(both, eye) / 255 for eye in EYES]

    return Clip(
        [frame_by_fisheye(frame, fov_deg) for frame in clip.frames],
        [matte_by_fisheye(matte, fov_deg) for matte in clip.mattes],
        np.array([[alpha_by_fisheye(pair) for pair in people] for people in clip.visible]),
        clip.bounds,
    )


@pytest.mark.parametrize("fov_deg", [180, 220])
@pytest.mark.parametrize("excluded", [0, 1])
def test_on_a_fisheye_the_same_leaves(crossing, fov_deg, excluded):
    people = people_of(crossing, excluded)
    flat = run(Exclusion(people, [], HalfEquirect(EYE_PX)), crossing)
    curved_clip = by_fisheye(crossing, fov_deg)
    curved = run(Exclusion(people, [], Fisheye(EYE_PX, fov_deg)), curved_clip)
    for who in (0, 1):
        before = share_gone(crossing, flat, who)
        after = share_gone(curved_clip, curved, who)
        # Measured 0.003 at most, while a few hundredths of the one hidden are in doubt.
        assert after == pytest.approx(before, abs=0.01)


RED, BLUE = (0.7, 0.2, 0.2), (0.2, 0.3, 0.7)


def shapes(eye_px, *standing, soft_px=2.0):
    """A frame and its matte: an oval in each (box, colour), the same in both eyes."""
    at = (np.arange(eye_px) + 0.5) * 180 / eye_px - 90
    rgb, alpha = np.full((eye_px, eye_px, 3), 0.5), np.zeros((eye_px, eye_px))
    for box, colour in standing:
        half_x, half_y = box.width_deg / 2, box.height_deg / 2
        across = (at[None, :] - box.center[0]) / half_x
        down = (-at[:, None] - box.center[1]) / half_y
        inside_px = (1 - np.hypot(across, down)) * min(half_x, half_y) * eye_px / 180
        share = np.clip(inside_px / soft_px, 0, 1)
        rgb += share[..., None] * (np.array(colour) - rgb)
        alpha += share * (1 - alpha)
    matte = np.rint(255 * alpha).astype(np.uint8)
    return from_rgb(np.concatenate([rgb, rgb], axis=1)), np.concatenate([matte, matte], axis=1)


def standing_still(number, box, keep, last=100):
    return person_of(number, keep, 0, last, (0,), (box,), (box,))


ONE, OTHER = AngularBox(-50, -25, -40, 10), AngularBox(20, 50, -30, 20)


def shrunk(box, share):
    across, down = share * box.width_deg / 2, share * box.height_deg / 2
    return AngularBox(
        box.yaw_min_deg + across,
        box.yaw_max_deg - across,
        box.pitch_min_deg + down,
        box.pitch_max_deg - down,
    )


# 650 px: eyes are reduced by 2, to an odd number of pixels.
@pytest.mark.parametrize("eye_px", [200, 650, 1024])
def test_people_apart_leave_to_the_last_pixel(eye_px):
    frame, matte = shapes(eye_px, (ONE, RED), (OTHER, BLUE))
    before = matte.copy()
    people = [standing_still(1, shrunk(ONE, 0.15), False), standing_still(2, OTHER, True)]
    gated = Exclusion(people, [], HalfEquirect(eye_px)).apply(0, frame, matte)
    _, wanted = shapes(eye_px, (OTHER, BLUE))
    assert np.array_equal(gated, wanted)
    assert np.array_equal(matte, before)


def test_a_box_that_reaches_into_somebody_apart_cuts_nothing_off():
    frame, matte = shapes(400, (ONE, RED), (OTHER, BLUE))
    wide = AngularBox(ONE.yaw_min_deg, OTHER.yaw_min_deg + 10, ONE.pitch_min_deg, ONE.pitch_max_deg)
    people = [standing_still(1, wide, False), standing_still(2, OTHER, True)]
    gated = Exclusion(people, [], HalfEquirect(400)).apply(0, frame, matte)
    assert np.array_equal(gated, shapes(400, (OTHER, BLUE))[1])


def test_depth_of_samples_does_not_matter():
    behind = AngularBox(-35, 0, -30, 5)
    frame, matte = shapes(400, (behind, BLUE), (ONE, RED))
    people = [standing_still(1, ONE, False), standing_still(2, behind, True)]
    eight, ten = Exclusion(people, [], HalfEquirect(400)), Exclusion(people, [], HalfEquirect(400))
    for at in range(3):
        ours, theirs = eight.apply(at, frame, matte), ten.apply(at, deeper(frame), matte)
        assert 0 < ours.sum() < matte.sum()
        assert np.array_equal(ours, theirs)


def test_the_matte_itself_comes_back_where_nobody_leaves():
    frame, matte = shapes(200, (ONE, RED))
    everybody = Exclusion([standing_still(1, ONE, True)], [], HalfEquirect(200))
    assert everybody.apply(0, frame, matte) is matte
    assert Exclusion([], [], HalfEquirect(200)).apply(0, frame, matte) is matte
    gone = Exclusion([standing_still(1, ONE, False, last=3)], [], HalfEquirect(200))
    assert gone.apply(2, frame, matte) is not matte
    assert gone.apply(3, frame, matte) is matte


def test_nothing_is_remembered_of_who_has_gone():
    frame, matte = shapes(200, (ONE, RED))
    exclusion = Exclusion([standing_still(1, ONE, False, last=3)], [], HalfEquirect(200))
    for at in range(4):
        assert len(exclusion.state()) == (0 if at == 0 else 4), "frame, colours, one share an eye"
        exclusion.apply(at, frame, matte)
    assert exclusion.state().keys() == {STATE_PREFIX + "frame"}
    exclusion.restore({})
    assert exclusion.state() == {}


def test_what_lies_far_from_every_box_stays():
    frame, matte = shapes(400, (ONE, RED), (OTHER, BLUE))
    gated = Exclusion([standing_still(1, ONE, False)], [], HalfEquirect(400)).apply(0, frame, matte)
    assert np.array_equal(gated, shapes(400, (OTHER, BLUE))[1])


def test_an_empty_matte_stays_empty():
    frame, matte = shapes(200)
    gated = Exclusion([standing_still(1, ONE, False)], [], HalfEquirect(200)).apply(0, frame, matte)
    assert not gated.any()


def test_a_person_seen_by_one_eye_leaves_that_eye():
    frame, matte = shapes(200, (ONE, RED))
    half_seen = person_of(1, False, 0, 9, (0,), (None,), (ONE,))
    gated = Exclusion([half_seen], [], HalfEquirect(200)).apply(0, frame, matte)
    assert np.array_equal(half_of(gated, Eye.LEFT), half_of(matte, Eye.LEFT))
    assert not half_of(gated, Eye.RIGHT).any()


def test_regions_leave_whoever_is_there():
    frame, _ = shapes(400)
    matte = np.full((400, 800), 200, np.uint8)
    floor = AngularBox(-30, 90, -90, -45)
    exclusion = Exclusion([], [ExcludedRegion(2, 4, floor)], HalfEquirect(400))
    assert exclusion.apply(1, frame, matte) is matte
    gated = exclusion.apply(2, frame, matte)
    inside = pixels_in(floor, 400)
    # Beyond the region's edge the matte may be soft for a pixel.
    around = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    for side in EYES:
        half = half_of(gated, side)
        assert not half[inside].any()
        assert (half[~around] == 200).all()
