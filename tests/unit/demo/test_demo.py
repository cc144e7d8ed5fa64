"""The demo's truth must be true: everything else is measured against it."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vrmatte.demo.body import HEIGHT_M, Limb, relief_of
from vrmatte.demo.clip import SAMPLE_RATE, tone, write_clip
from vrmatte.demo.figure import FOOT_M, LEFT_M, RIGHT_M, TOP_M, Appearance, draw_figure
from vrmatte.demo.room import Room, room_view
from vrmatte.demo.scene import DemoPerson, Scene, _box, render_pair
from vrmatte.errors import ConfigError, OutputError
from vrmatte.geometry.projection import HalfEquirect

EYE_PX = 128
STILL = Scene(noise=0.0)
SHORT_HAIR = Appearance(hair=(0.1, 0.1, 0.1), hair_length_m=0.02, shirt=(0.2, 0.4, 0.3), seed=5)


def longitude_px(alpha: np.ndarray) -> float:
    """Mean column of a matte, in pixels."""
    columns = np.arange(alpha.shape[1]) + 0.5
    return float((alpha * columns).sum() / alpha.sum())


def test_a_frame_is_the_same_every_time_and_frames_differ() -> None:
    first, again = (render_pair(Scene(), EYE_PX, 5) for _ in range(2))
    assert np.array_equal(first.rgb, again.rgb)
    assert np.array_equal(first.alpha, again.alpha)
    later = render_pair(Scene(), EYE_PX, 20)
    assert np.abs(later.alpha - first.alpha).max() > 0.9, "the arm waves"


def test_noise_is_new_in_every_frame_and_eye() -> None:
    empty = Scene(people=(), noise=0.01)
    plate = render_pair(replace(empty, noise=0.0), 64, 0).rgb.astype(int)
    noises = [render_pair(empty, 64, i).rgb.astype(int) - plate for i in (0, 1)]
    assert 1.5 < noises[0].std() < 3.5, "0.01 of 255 is 2.55; clipping at white takes some"
    assert abs(np.corrcoef(noises[0].ravel(), noises[1].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(noises[0][0].ravel(), noises[0][1].ravel())[0, 1]) < 0.05


def test_alpha_is_the_very_alpha_of_the_composite() -> None:
    """Two backgrounds give alpha back: C1 - C2 = (1 - a)(B1 - B2)."""
    bright, dark = STILL, replace(STILL, room=Room(brightness=0.4))
    c1, c2 = (render_pair(s, EYE_PX, 3).rgb.astype(float) for s in (bright, dark))
    b1, b2 = (
        render_pair(replace(s, people=()), EYE_PX, 3).rgb.astype(float) for s in (bright, dark)
    )
    alpha = render_pair(bright, EYE_PX, 3).alpha[..., None]
    # Four values rounded to 8 bits, half a level each.
    assert np.abs((c1 - c2) - (1 - alpha) * (b1 - b2)).max() <= 2.0
    assert np.array_equal(c1[alpha[..., 0] == 0], b1[alpha[..., 0] == 0])
    assert (alpha == 1).mean() > 0.03, "the body is opaque"


def test_people_hide_each_other_by_depth_and_unite_exactly() -> None:
    near = DemoPerson(x_m=0.1, z_m=0.9)
    far = DemoPerson(x_m=-0.1, z_m=1.6, look=SHORT_HAIR)
    both = render_pair(replace(STILL, people=(near, far)), EYE_PX, 0)
    swapped = render_pair(replace(STILL, people=(far, near)), EYE_PX, 0)
    alone = render_pair(replace(STILL, people=(near,)), EYE_PX, 0)
    assert np.array_equal(both.rgb, swapped.rgb), "depth decides, not the order in the list"
    assert np.array_equal(both.person_alpha[0], alone.person_alpha[0])
    solid = alone.alpha == 1
    assert np.array_equal(both.rgb[solid], alone.rgb[solid]), "the nearer one hides the other"
    assert np.allclose(1 - both.alpha, np.prod(1 - both.person_alpha, axis=0), atol=1e-6)
    assert both.depth_m == (0.9, 1.6)


@pytest.mark.parametrize("z_m", [0.7, 1.0, 2.5])
def test_disparity_matches_baseline_over_depth(z_m: float) -> None:
    """Rows at eye height: there a column is a longitude, and tan(longitude) = x / z."""
    eye_px = 384
    person = DemoPerson(x_m=0.05, z_m=z_m)
    # The eye-height row of the torso; the floor is lowered so that it is the belly.
    scene = replace(STILL, people=(person,), room=Room(floor_m=1.15))
    alpha = render_pair(scene, eye_px, 4).alpha[:, eye_px // 2 - 1 : eye_px // 2 + 1]
    edges = []
    for eye in alpha.mean(axis=1):
        first = int(np.argmax(eye > 0.5))
        edge = first + 0.5 - (eye[first] - 0.5) / (eye[first] - eye[first - 1])
        edges.append(z_m * math.tan((edge / eye_px - 0.5) * math.pi))
    pixel_m = z_m * math.pi / eye_px
    # The edge ramps are a pixel wide and sampled, not fitted: a sixth of a pixel is their error.
    assert edges[0] - edges[1] == pytest.approx(scene.baseline_m, abs=pixel_m / 6)


def test_a_person_stands_exactly_where_asked() -> None:
    """The legs, seen level with the eye, are symmetric about the person's x at the first frame."""
    eye_px, z_m, x_m = 384, 0.9, 0.2
    scene = replace(
        STILL, people=(DemoPerson(x_m=x_m, z_m=z_m),), room=Room(floor_m=0.3, ceiling_m=2.2)
    )
    row = render_pair(scene, eye_px, 0).alpha[:, eye_px // 2]
    tangent = np.tan(((np.arange(eye_px) + 0.5) / eye_px - 0.5) * math.pi)
    weight = row * (1 + tangent**2)
    at_m = z_m * (weight * tangent).sum(axis=1) / weight.sum(axis=1)
    tenth_px_m = 0.1 * z_m * math.pi / eye_px
    assert at_m[0] == pytest.approx(x_m + scene.baseline_m / 2, abs=tenth_px_m)
    assert at_m[1] == pytest.approx(x_m - scene.baseline_m / 2, abs=tenth_px_m)


def test_left_is_left() -> None:
    """The left eye sees a person further to the right, the more the nearer the person is."""
    shifts = []
    for z_m in (0.8, 2.0):
        pair = render_pair(replace(STILL, people=(DemoPerson(z_m=z_m),)), EYE_PX, 0)
        shifts.append(longitude_px(pair.alpha[0]) - longitude_px(pair.alpha[1]))
    assert shifts[0] > shifts[1] > 0
    right = render_pair(replace(STILL, people=(DemoPerson(x_m=1.0, z_m=1.2),)), EYE_PX, 0)
    assert longitude_px(right.alpha[0]) > EYE_PX * 0.6, "x points right"


@pytest.mark.parametrize("height_m", [1.0, HEIGHT_M])
@pytest.mark.parametrize(("x_m", "z_m"), [(0.5, 0.25), (-1.2, 0.6), (0.0, 0.3)])
def test_the_box_of_a_card_holds_the_whole_card(x_m: float, z_m: float, height_m: float) -> None:
    """Nothing outside that box is drawn, so all points of the card must lie in it."""
    eye_px, floor_m, scale = 64, 1.7, height_m / HEIGHT_M
    sides = x_m + LEFT_M * scale, x_m + RIGHT_M * scale
    levels = floor_m - TOP_M * scale, floor_m - FOOT_M * scale
    columns, rows = _box(eye_px, *sides, *levels, z_m)
    x, y = np.meshgrid(np.linspace(*sides, 201), np.linspace(*levels, 201))
    pixel_x, pixel_y = HalfEquirect(eye_px).pixels(x, y, np.full_like(x, z_m))
    for pixels, span in ((pixel_x, columns), (pixel_y, rows)):
        inside = pixels[(pixels >= 0) & (pixels <= eye_px)]
        assert span.start <= inside.min()
        assert inside.max() <= span.stop
    assert columns.stop - columns.start < eye_px or rows.stop - rows.start < eye_px


def test_hair_is_soft_and_the_shirt_is_not() -> None:
    card = draw_figure(Appearance(), 0.0, 400)
    up = np.linspace(1.98, -0.04, len(card.rgba))
    alpha = card.rgba[..., 3]
    soft = (alpha > 0.05) & (alpha < 0.95)
    hair, legs = (
        soft[(up > low) & (up < high)].sum(1).mean() for low, high in ((1.5, 1.7), (0.2, 0.8))
    )
    assert hair > 2 * legs
    assert legs > 2, "outlines are anti-aliased too"
    assert (card.rgba[..., :3].max(axis=-1) <= alpha + 1e-5).all(), "premultiplied"


def test_people_come_move_and_go() -> None:
    visitor = DemoPerson(x_m=-0.5, z_m=1.5, x_speed_m_s=1.0, first_frame=10, last_frame=12)
    scene = replace(STILL, people=(visitor,))
    areas = [float(render_pair(scene, 64, i).alpha.sum()) for i in (9, 10, 12, 13)]
    assert areas[0] == areas[3] == 0
    assert areas[1] > 0
    assert areas[2] > 0
    columns = [longitude_px(render_pair(scene, 64, i).alpha[0]) for i in (10, 12)]
    assert columns[1] > columns[0]


def test_a_person_in_the_camera_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"person 0 is 0\.10 m away"):
        render_pair(Scene(people=(DemoPerson(z_m=0.1),)), 64, 0)


@pytest.mark.parametrize("small", [{"half_width_m": 1.0}, {"depth_m": 1.5}, {"floor_m": 0.5}])
def test_a_room_too_small_for_its_furniture_is_refused(small: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"4\.2 x 2\.5 x 2\.1"):
        Room(**small)


def test_the_room_has_parallax_and_no_holes() -> None:
    left, right = (room_view(Room(), 128, x) for x in (-0.032, 0.032))
    assert np.isfinite(left).all()
    assert left.min() > 0.02
    assert np.abs(left - right).mean() > 0.003


def test_a_limb_is_as_thick_as_it_says() -> None:
    x, up = np.meshgrid(np.linspace(-0.2, 0.2, 401), np.array([0.5]))
    relief = relief_of(Limb((0.0, 0.0), (0.0, 1.0), (0.1, 0.1)), x, up)
    assert np.ptp(x[relief.inside > 0]) == pytest.approx(0.2, abs=0.003)
    assert relief.height.max() == pytest.approx(0.1, abs=1e-4)


# --- clip ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[int]]:
    folder = tmp_path_factory.mktemp("demo")
    done: list[int] = []
    video, truth = folder / "demo.mp4", folder / "demo.alpha.mkv"
    rate = Fraction(30000, 1001)
    write_clip(video, truth, eye_px=128, frames=7, rate=rate, on_frame=done.append)
    return video, truth, done


def test_clip_has_every_frame_and_says_so(clip: tuple[Path, Path, list[int]]) -> None:
    video, _, done = clip
    assert done == [1, 2, 3, 4, 5, 6, 7]
    with av.open(str(video)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height) == (256, 128)
        times = [frame.pts * stream.time_base for frame in file.decode(stream)]
    assert times == [Fraction(1001 * i, 30000) for i in range(7)]


def test_clip_colours_are_bt709_and_tagged(clip: tuple[Path, Path, list[int]]) -> None:
    with av.open(str(clip[0])) as file:
        context = file.streams.video[0].codec_context
        tags = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
        frame = next(file.decode(video=0))
        luma = frame.to_ndarray()[:128].astype(float)
    assert context.pix_fmt == "yuv420p"
    assert [int(tag) for tag in tags] == [1, 1, 1, 1]
    sent = replace(Scene(), frame_rate=30000 / 1001)
    rgb = render_pair(sent, 128, 0).side_by_side() / 255
    expected = 16 + 219 * (rgb @ np.array([0.2126, 0.7152, 0.0722]))
    bt601 = 16 + 219 * (rgb @ np.array([0.299, 0.587, 0.114]))
    red_shirt = np.abs(expected - bt601) > 5
    # Coding noise averages out over the shirt; the wrong matrix would be more than 5 levels off.
    assert red_shirt.sum() > 200
    assert (luma - expected)[red_shirt].mean() == pytest.approx(0, abs=1.0)


def test_truth_is_the_rendered_alpha_bit_for_bit(clip: tuple[Path, Path, list[int]]) -> None:
    with av.open(str(clip[1])) as file:
        assert file.streams.video[0].codec_context.name == "ffv1"
        planes = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
    assert len(planes) == 7
    scene = replace(Scene(), frame_rate=30000 / 1001)
    for index in (0, 6):
        pair = render_pair(scene, 128, index)
        assert np.array_equal(planes[index], pair.alpha_side_by_side())
    assert planes[0].max() == 255, "full range"


def test_clip_sound_lasts_as_long_and_keeps_its_channels(
    clip: tuple[Path, Path, list[int]],
) -> None:
    with av.open(str(clip[0])) as file:
        heard = np.concatenate([frame.to_ndarray() for frame in file.decode(audio=0)], axis=1)
    promised = math.ceil(7 * 1001 / 30000 * SAMPLE_RATE)
    assert 0 <= heard.shape[1] - promised <= 1024, "the last AAC frame is padded"
    sent = tone(promised)
    inner = slice(2048, promised - 2048)
    for channel in range(2):
        match = [np.corrcoef(heard[channel, inner], sent[other, inner])[0, 1] for other in range(2)]
        assert match[channel] > 0.95
        assert abs(match[1 - channel]) < 0.3


def test_clip_without_sound_and_truth(tmp_path: Path) -> None:
    write_clip(tmp_path / "plain.mp4", eye_px=32, frames=2, audio=False)
    with av.open(str(tmp_path / "plain.mp4")) as file:
        assert [stream.type for stream in file.streams] == ["video"]
    assert [path.name for path in tmp_path.iterdir()] == ["plain.mp4"]


@pytest.mark.parametrize("asked", [{"eye_px": 65}, {"eye_px": 8}, {"frames": 0}, {"rate": 0}])
def test_impossible_clips_are_refused(tmp_path: Path, asked: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="demo"):
        write_clip(tmp_path / "no.mp4", **asked)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lost", ["video", "truth"])
def test_an_unwritable_file_is_named(tmp_path: Path, lost: str) -> None:
    paths = {"video": tmp_path / "a.mp4", "truth": tmp_path / "a.mkv"}
    paths[lost] = tmp_path / "nowhere" / "b.bin"
    with pytest.raises(OutputError, match=r"nowhere/b\.bin"):
        write_clip(paths["video"], paths["truth"], eye_px=32, frames=1)
