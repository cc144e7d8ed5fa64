"""Sources whose eyes are fisheye pictures come to the same as half-equirectangular ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from support.brightness import brightness_config
from support.matting.matting_engines import PaintingEngine, constant
from support.matting.matting_pictures import from_rgb, soft_rgb
from support.media.fisheye_pictures import frame_by_fisheye, matte_by_fisheye, write_frames
from support.people import person_of
from support.people_files import write_people_file
from vrmatte.commands.run import matte_video
from vrmatte.compose.alpha_packed import AlphaPacker, unpack_alpha
from vrmatte.demo.scene import Scene, render_pair
from vrmatte.frames import EYES, YUV420P10, ColorTags, Eye, PlanarFrame, half_of
from vrmatte.geometry.angular_box import AngularBox
from vrmatte.geometry.projection import Fisheye, HalfEquirect, shown_pixels
from vrmatte.geometry.remap import chroma_sites
from vrmatte.geometry.viewport import Turn, Viewport, ViewportPath
from vrmatte.matting.build import sized_paths
from vrmatte.matting.exclusion.exclusion import Exclusion
from vrmatte.matting.view_window import ViewWindow, blend_weights
from vrmatte.matting.whole_eye_matting import WholeEyeMatting
from vrmatte.media.decode import read_grey
from vrmatte.people.detect import (
    Detection,
    StereoDetection,
    ViewBox,
    detect_stereo,
    view_pictures,
)
from vrmatte.people.shots import change, thumbnail
from vrmatte.people.track import colours_in
from vrmatte.progress import Notice
from vrmatte.quality.truth.truth_metrics import TruthScorer
from vrmatte.sheets.people_sheet import BoxMark, SheetFrame, people_sheet
from vrmatte.subjects import ExcludedRegion

EYE = 768
FOVS = [180, 190, 200, 220]
HALF = HalfEquirect(EYE)


@pytest.fixture(scope="module")
def demo():
    pair = render_pair(Scene(), EYE, 3)
    return from_rgb(pair.side_by_side() / 255), pair.alpha_side_by_side()


@pytest.mark.parametrize("fov_deg", FOVS)
def test_detectors_see_the_same(demo, fov_deg):
    frame, _ = demo
    fisheye = Fisheye(EYE, fov_deg)
    ours = view_pictures(frame_by_fisheye(frame, fov_deg).eye(Eye.LEFT), 416, projection=fisheye)
    theirs = view_pictures(frame.eye(Eye.LEFT), 416)
    blank = view_pictures(from_rgb(np.zeros((EYE, EYE, 3))), 416)
    for ours_, theirs_, blank_ in zip(ours, theirs, blank, strict=True):
        seen = cv2.erode((blank_.max(axis=2) < 20).astype(np.uint8), np.ones((7, 7))) > 0
        error = np.abs(ours_.astype(int) - theirs_).max(axis=2)[seen]
        # Of 255: the fisheye was resampled once more, and has 180/220 of the density.
        assert error.mean() < 2.5
        assert np.percentile(error, 99) <= 14


class BrightDetector:
    input_px = 256

    def detect(self, pictures):
        found = []
        for picture in pictures:
            bright = (picture.min(axis=2) > 180).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
            found.append([ViewBox(x, y, x + w, y + h, 0.9) for x, y, w, h, _ in stats[1:].tolist()])
        return found


def ovals(*standing, ground=0.2):
    """A frame with the same bright ovals in both eyes, and their matte."""
    at = (np.arange(EYE) + 0.5) * 180 / EYE - 90
    inside = np.zeros((EYE, EYE))
    for box in standing:
        (yaw, pitch), width, height = box.center, box.width_deg, box.height_deg
        across = (at[None] - yaw) / (width / 2)
        down = (-at[:, None] - pitch) / (height / 2)
        inside = np.maximum(inside, np.clip((1 - np.hypot(across, down)) * 20, 0, 1))
    both = np.concatenate([inside, inside], axis=1)
    rgb = np.repeat((ground + (0.95 - ground) * both)[..., None], 3, axis=2)
    return from_rgb(rgb), np.rint(255 * both).astype(np.uint8)


@pytest.mark.parametrize("fov_deg", FOVS)
@pytest.mark.parametrize(
    "place",
    [
        AngularBox(-20, 10, -50, 15),
        AngularBox(50, 75, -20, 30),
        AngularBox(-70, -40, -60, -20),
    ],
)
def test_people_are_found_in_the_same_directions(fov_deg, place):
    frame, _ = ovals(place)
    (truth,) = detect_stereo(frame, BrightDetector(), 0.5)
    fisheye = frame_by_fisheye(frame, fov_deg)
    (found,) = detect_stereo(
        fisheye, BrightDetector(), 0.5, projection=Fisheye(EYE, fov_deg).resized(512)
    )
    assert found.left.box.iou(truth.left.box) > 0.95


@pytest.mark.parametrize("fov_deg", FOVS)
@pytest.mark.parametrize("view", [Viewport(-20, -10, 80, 90), Viewport(60, 20, 70, 70)])
def test_viewports_show_the_same(demo, fov_deg, view):
    frame, _ = demo
    fisheye = Fisheye(EYE, fov_deg)
    ours, theirs = (
        ViewWindow(view, (256, 256), eye).read(shown.eye(Eye.LEFT), 1)
        for eye, shown in ((fisheye, frame_by_fisheye(frame, fov_deg)), (HALF, frame))
    )
    for name in ("y", "u", "v"):
        error = np.abs(getattr(ours, name).astype(int) - getattr(theirs, name))
        # Of 255, all of the view: what no eye shows is repeated at both edges.
        assert error.mean() < 1.5
        assert np.percentile(error, 99) <= 8


@pytest.mark.parametrize("fov_deg", FOVS)
def test_outside_the_circle_is_nothing(fov_deg):
    eye = Fisheye(256, fov_deg)
    windows = [
        ViewWindow(Viewport(yaw, pitch, 100, 100), (64, 64), eye)
        for yaw, pitch in ((-60, 40), (60, 40), (0, -60))
    ]
    total = np.zeros((256, 256), int)
    for window, weight in zip(windows, blend_weights(windows, 256), strict=True):
        total[window.region.slices] += weight
    shown = shown_pixels(eye)
    assert total[shown].max() == 255
    assert not total[~shown].any()
    frame = from_rgb(np.full((256, 512, 3), 0.5))
    matte = WholeEyeMatting(PaintingEngine(constant(1)), 0.25, eye).matte(0, frame)
    assert np.array_equal(matte, np.where(np.tile(shown, 2), 255, 0))


LEAVES, STAYS = AngularBox(-75, -45, -50, 20), AngularBox(10, 45, -40, 25)


@pytest.mark.parametrize("fov_deg", FOVS)
def test_the_same_people_leave(fov_deg):
    frame, matte = ovals(LEAVES, STAYS)
    _, wanted = ovals(STAYS)
    people = [
        person_of(number, keep, 0, 9, (0,), (box,), (box,))
        for number, (box, keep) in enumerate(((LEAVES, False), (STAYS, True)), 1)
    ]
    exclusion = Exclusion(people, [], Fisheye(EYE, fov_deg))
    for index in range(2):  # the second time with a memory
        gated = exclusion.apply(
            index, frame_by_fisheye(frame, fov_deg), matte_by_fisheye(matte, fov_deg)
        )
        assert np.array_equal(gated, matte_by_fisheye(wanted, fov_deg))


@pytest.mark.parametrize("fov_deg", FOVS)
def test_who_stands_far_off_the_middle_leaves(fov_deg):
    # There longitude and column differ most: 75 degrees lie where 28 do on the horizon.
    corner = AngularBox(65, 85, 60, 80)
    frame, matte = ovals(corner, STAYS)
    people = [
        person_of(1, False, 0, 9, (0,), (corner,), (corner,)),
        person_of(2, True, 0, 9, (0,), (STAYS,), (STAYS,)),
    ]
    gated = Exclusion(people, [], Fisheye(EYE, fov_deg)).apply(
        0, frame_by_fisheye(frame, fov_deg), matte_by_fisheye(matte, fov_deg)
    )
    assert np.array_equal(gated, matte_by_fisheye(ovals(STAYS)[1], fov_deg))


@pytest.mark.parametrize("fov_deg", FOVS)
def test_who_crosses_is_told_apart(fov_deg):
    """Two people whose boxes overlap; on both eyes the same share of each stays."""
    near, far = AngularBox(-40, 0, -50, 10), AngularBox(-15, 20, -40, 20)
    frame, matte = ovals(near, far)
    people = [
        person_of(1, True, 0, 9, (0,), (near,), (near,)),
        person_of(2, False, 0, 9, (0,), (far,), (far,)),
    ]
    flat = Exclusion(people, [], HALF).apply(0, frame, matte)
    curved = Exclusion(people, [], Fisheye(EYE, fov_deg)).apply(
        0, frame_by_fisheye(frame, fov_deg), matte_by_fisheye(matte, fov_deg)
    )
    ours, theirs = curved > 127, matte_by_fisheye(flat, fov_deg) > 127
    # Where ovals touch, the border between equals may lie a pixel of the reduced eye off.
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97


def test_memory_follows_people_across_the_curves():
    """Two alike who pass each other far below, where boxes turn as they move."""
    times = tuple(range(12))
    goes, comes = (
        tuple(AngularBox(at + pace * t, at + 24 + pace * t, -80, -45) for t in times)
        for at, pace in ((-50, 5), (10, -5))
    )
    people = [
        person_of(1, True, 0, 12, times, goes, goes),
        person_of(2, False, 0, 12, times, comes, comes),
    ]
    flat, curved = Exclusion(people, [], HALF), Exclusion(people, [], Fisheye(EYE, 190))
    for t in times:
        frame, matte = ovals(goes[t], comes[t])
        theirs = matte_by_fisheye(flat.apply(t, frame, matte), 190) > 127
        gated = curved.apply(t, frame_by_fisheye(frame, 190), matte_by_fisheye(matte, 190))
        # While one covers the other either may be right; a memory that stays in its columns
        # agrees to 0.33.
        assert ((gated > 127) & theirs).sum() / ((gated > 127) | theirs).sum() > 0.65


@pytest.mark.parametrize("fov_deg", FOVS)
@pytest.mark.parametrize("floor", [AngularBox(-90, 90, -90, -50), AngularBox(-30, 90, -60, -10)])
def test_the_same_regions_leave(fov_deg, floor):
    frame, _ = ovals()
    matte = np.full((EYE, 2 * EYE), 200, np.uint8)
    regions = [ExcludedRegion(0, 9, floor)]
    wanted = Exclusion([], regions, HALF).apply(0, frame, matte)
    shown = np.where(np.tile(shown_pixels(Fisheye(EYE, fov_deg)), 2), matte, 0).astype(np.uint8)
    gated = Exclusion([], regions, Fisheye(EYE, fov_deg)).apply(0, frame, shown)
    error = np.abs(gated.astype(int) - matte_by_fisheye(wanted, fov_deg))
    assert np.mean(error > 100) < 0.004  # the border in both eyes, softened over a pixel
    # Past the nadir, behind the hemisphere, a floor is floor too.
    if floor.yaw_min_deg == -90:
        assert not half_of(gated, Eye.LEFT)[-EYE // 20 :].any()


def test_boxes_and_viewports_are_drawn_where_they_are():
    grey = from_rgb(np.full((256, 512, 3), 0.4))
    eye = Fisheye(180, 200)
    marks = {Eye.LEFT: [BoxMark(1, (20, 70), (-60, 30))]}

    def drawn(**what):
        sheet = people_sheet([SheetFrame("f", grey, **what)], 180, eye.resized(999))
        return np.abs(sheet[24:, :180].astype(int) - 102).max(axis=2) > 20

    lon, lat = (np.radians(angle) for angle in ((20, 70, 45, 70), (15, -30, -60, 30)))
    x, y = eye.pixels(np.sin(lon) * np.cos(lat), -np.sin(lat), np.cos(lon) * np.cos(lat))
    outline = cv2.dilate(drawn(boxes=marks).astype(np.uint8), np.ones((3, 3)))
    assert outline[y.astype(int), x.astype(int)].all()
    assert not outline[:, :80].any()
    ring = drawn(boxes={}, viewports=[(1, Viewport(90, 0, 40, 40))])
    # A lens of 200 degrees sees 10 degrees behind: where the right border of half the view begins.
    assert ring[:, 180 // 2 + round(70 / 100 * 90)].any()
    assert not ring[:, :140].any()


def test_colours_are_those_of_the_middle():
    rgb = np.full((EYE, 2 * EYE, 3), 0.5)
    px = EYE / 180
    rgb[round(85 * px) : round(140 * px), round(130 * px) : round(160 * px)] = (0.9, 0.1, 0.1)
    frame = from_rgb(rgb)
    found = StereoDetection(Detection(AngularBox(40, 70, -50, 5), 0.9, False), None)
    flat = colours_in(frame, found)
    assert flat.max() > 0.9
    for fov_deg in FOVS:
        curved = colours_in(frame_by_fisheye(frame, fov_deg), found, Fisheye(99, fov_deg))
        assert np.minimum(flat, curved).sum() > 0.95


def test_black_corners_make_no_cut_smaller():
    frames = [frame_by_fisheye(from_rgb(soft_rgb(512, 256, seed)), 190) for seed in (0, 1)]
    with_corners = change(*(thumbnail(frame) for frame in frames))
    without = change(*(thumbnail(frame, Fisheye(256, 190)) for frame in frames))
    flat = change(*(thumbnail(from_rgb(soft_rgb(512, 256, seed))) for seed in (0, 1)))
    assert with_corners < 0.9 * without
    assert without > 0.85 * flat
    half = [thumbnail(frame, HalfEquirect(256)) for frame in frames]
    assert change(*half) == with_corners


@pytest.mark.parametrize("layout", [None, YUV420P10])
@pytest.mark.parametrize("channel", ["grey", "red"])
def test_packing_leaves_a_fisheye_of_that_view_as_it_is(layout, channel):
    color = ColorTags(matrix=1)
    rgb = np.random.default_rng(0).uniform(0, 1, (256, 512, 3))
    frame = from_rgb(rgb, layout, color) if layout else from_rgb(rgb, color=color)
    eye = Fisheye(256, 190)
    matte = np.full((256, 512), 255, np.uint8)
    packed = AlphaPacker(eye, 190, channel, frame.layout, color).pack(frame, matte)
    black = 16 << (frame.layout.bit_depth - 8)
    circle = np.tile(shown_pixels(eye), 2)
    assert np.array_equal(packed.y[circle], frame.y[circle])
    sites = chroma_sites(frame.layout, color)
    at = np.meshgrid(sites.columns(0, 128), sites.rows(0, 128))
    coarse = np.tile(eye.covers(*at), 2)
    for ours, theirs, grey in ((packed.u, frame.u, black * 8), (packed.v, frame.v, black * 8)):
        assert np.array_equal(ours[coarse], theirs[coarse])
        if channel == "grey":
            assert (ours[~coarse] == grey).all()
    # Outside: black, and the discs. Between picture and disc lies a gap.
    assert (packed.y[~circle] == black).sum() > 1000
    assert not np.shares_memory(packed.y, frame.y)


@pytest.mark.parametrize("packed_deg", [180, 190, 200])
@pytest.mark.parametrize("fov_deg", FOVS)
def test_packed_files_of_fisheye_sources_unpack_to_their_mattes(demo, fov_deg, packed_deg):
    frame, matte = (frame_by_fisheye(demo[0], fov_deg), matte_by_fisheye(demo[1], fov_deg))
    eye = Fisheye(EYE, fov_deg)
    packed = AlphaPacker(eye, packed_deg, "grey", frame.layout, frame.color).pack(frame, matte)
    seen = unpack_alpha(packed, packed_deg, view=eye)
    # As with half-equirectangular sources: 0.4 of the resolution is kept.
    ours, theirs = seen > 127, matte > 127
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97
    # The same picture as from the half-equirectangular source, which was resampled once less.
    flat = AlphaPacker(HALF, packed_deg, "grey", frame.layout, frame.color).pack(*demo)
    inner = np.tile(np.hypot(*np.meshgrid(*2 * [np.arange(EYE) + 0.5 - EYE / 2])) < 0.42 * EYE, 2)
    error = np.abs(packed.y.astype(int) - flat.y)[inner]
    assert error.mean() < 1.5


@pytest.mark.parametrize("fov_deg", FOVS)
def test_discs_are_opaque_to_their_rim(fov_deg):
    eye = Fisheye(512, fov_deg)
    frame = from_rgb(np.full((512, 1024, 3), 0.5))
    matte = np.where(np.tile(shown_pixels(eye), 2), np.uint8(255), np.uint8(0))
    packed = AlphaPacker(eye, fov_deg, "grey", frame.layout, frame.color).pack(frame, matte)
    x, y = np.meshgrid(np.arange(1024) + 0.5 - 512, np.arange(512) + 0.5)
    # 235 is opaque; without care the transparent corners make the rim half transparent.
    assert packed.y[np.hypot(x, y) < 0.2 * 512].min() > 225


def test_networks_see_a_fisheye_at_its_own_density():
    config = brightness_config({"processing": {"scale_factor": 1.0}})
    flat, curved = (
        sized_paths(THROUGH, config, eye)[0] for eye in (HalfEquirect(1024), Fisheye(1024, 220))
    )
    # Both sizes come in steps of 16 pixels.
    assert curved.width == pytest.approx(flat.width * 180 / 220, abs=16)
    assert curved.height == pytest.approx(flat.height * 180 / 220, abs=16)


def silhouettes(frames=8):
    """Frames of bright people on black, which the stand-in engine mattes, and their truth."""
    truths = [render_pair(Scene(), 256, index).alpha_side_by_side() for index in range(frames)]
    chroma = np.full((128, 256), 128, np.uint8)
    pictures = [
        PlanarFrame((16 + t * (219 / 255)).astype(np.uint8), chroma, chroma, *LAYOUT)
        for t in truths
    ]
    return pictures, truths


LAYOUT = from_rgb(np.zeros((2, 4, 3))).layout, ColorTags(1, 1, 1, chroma_location=1)
THROUGH = (
    ViewportPath("a", 0, 8, 90, 110, (Turn(0, -15, -15), Turn(4, -10, -15))),
    ViewportPath("b", 0, 8, 90, 110, (Turn(0, 25, -15),)),
)


def matted(path: Path, folder: Path, *, viewports: bool = False, **told):
    """Mattes and notices of a run, through the viewports of `THROUGH` or with whole eyes."""
    said: list[str] = []
    seen = {}
    if viewports:
        listed = write_people_file(path, folder / "viewports.json", viewports=THROUGH)
        seen = {"people": {"file": listed}, "processing": {"projection": "viewport"}}
    settings = {
        "output": {"deliver": ["matte-lossless"], "encoder": "software"},
        "processing": {"chunk_size": 5},
        "input": told,
    }
    matte_video(
        path,
        folder,
        brightness_config(settings, seen),
        observer=lambda e: said.append(e.text) if isinstance(e, Notice) else None,
    )
    made = max(folder.glob("*.mkv"), key=lambda path: path.stat().st_mtime_ns)
    return [matte for _, matte in read_grey(made)], said


def iou(mattes, truths) -> float:
    scorer = TruthScorer(every=0)
    for matte, truth in zip(mattes, truths, strict=True):
        scorer.add(*(np.float32(each) / np.float32(255) for each in (matte, truth)))
    found = scorer.result().scores["whole"].iou
    assert found is not None
    return found


@pytest.mark.parametrize("whole", [True, False])
def test_a_run_mattes_a_fisheye_as_well(tmp_path, whole):
    frames, truths = silhouettes()
    write_frames(tmp_path / "flat_LR_180.mp4", frames)
    mattes, _ = matted(tmp_path / "flat_LR_180.mp4", tmp_path / "flat", viewports=not whole)
    flat = iou(mattes, truths)
    assert flat > 0.9
    for tag, told, fov_deg in (
        ("_RF52", {}, 190),
        ("", {"lens": "mkx200"}, 200),
        ("_FISHEYE180", {"lens": "vrca220"}, 220),
        ("_FISHEYE", {}, 180),
    ):
        path = tmp_path / f"clip{fov_deg}{tag}.mp4"
        write_frames(path, [frame_by_fisheye(frame, fov_deg) for frame in frames])
        mattes, said = matted(path, tmp_path / str(fov_deg), viewports=not whole, **told)
        curved = iou(mattes, [matte_by_fisheye(t, fov_deg) for t in truths])
        # At 256 pixels a person's outline is coarse, and coarser where 220 degrees share them.
        assert curved > flat - 0.02, fov_deg
        assert not any("assumed" in text for text in said)
        outside = np.tile(~shown_pixels(Fisheye(256, fov_deg)), 2)
        assert not any(matte[outside].any() for matte in mattes)


def test_viewports_of_a_run_look_where_they_say(tmp_path):
    bright = [from_rgb(np.full((256, 512, 3), 0.95))] * 8
    write_frames(tmp_path / "flat_LR_180.mp4", bright)
    flat, _ = matted(tmp_path / "flat_LR_180.mp4", tmp_path / "flat", viewports=True)
    path = tmp_path / "clip_VRCA220.mp4"
    write_frames(path, [frame_by_fisheye(frame, 220) for frame in bright])
    curved, _ = matted(path, tmp_path / "curved", viewports=True)
    ours, theirs = curved[0] > 127, matte_by_fisheye(flat[0], 220) > 127
    # What all viewports together see; their feathered border may move by half a pixel.
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.97


def test_an_unknown_lens_is_said_and_another_makes_the_mattes_anew(tmp_path):
    frames, _ = silhouettes()
    path = tmp_path / "clip.mp4"
    write_frames(path, [frame_by_fisheye(frame, 200) for frame in frames])
    first, said = matted(path, tmp_path / "out", viewports=True, projection="fisheye")
    assert [text for text in said if "assuming 180 degrees" in text]
    second, said = matted(path, tmp_path / "out", viewports=True, lens="fisheye200")
    assert not any("assuming" in text for text in said)
    assert not np.array_equal(first[0], second[0])
    assert all(half_of(matte, eye).any() for matte in second for eye in EYES)
