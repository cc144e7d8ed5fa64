"""Packing against an oracle that shares no code with it, and the round trip through a codec."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from vrmatte.compose.alpha_packed import AlphaPacker, MatteDisc, unpack_alpha
from vrmatte.frames import EYES, YUV420P, YUV420P10, ColorTags, Eye, PlanarFrame, half_of
from vrmatte.geometry.projection import HalfEquirect

BT709 = ColorTags(1, 1, 1, chroma_location=1)


def flat_frame(eye_px, layout=YUV420P, color=BT709, code=None):
    """A side-by-side frame of one code; neutral black unless one is given."""
    shift = layout.bit_depth - 8
    y = np.full((eye_px, 2 * eye_px), 16 << shift if code is None else code, layout.dtype)
    chroma = np.full((eye_px // 2, eye_px), 128 << shift if code is None else code, layout.dtype)
    return PlanarFrame(y, chroma, chroma.copy(), layout, color, pts=9)


def noise_frame(eye_px, layout=YUV420P, color=BT709):
    rng = np.random.default_rng(4)
    shapes = ((eye_px, 2 * eye_px), (eye_px // 2, eye_px), (eye_px // 2, eye_px))
    planes = [rng.integers(0, layout.peak + 1, shape, dtype=layout.dtype) for shape in shapes]
    return PlanarFrame(*planes, layout, color)


# --- the oracle: an alpha known at every direction, placed by the format's own words ---


def alpha_towards(lon, lat, eye):
    """Alpha 0..1 by direction: smooth, unlike its mirror images, unlike in the other eye."""
    shift = 0.6 if eye is Eye.LEFT else -0.7
    return 0.5 + 0.25 * np.sin(1.5 * lon + shift) + 0.2 * np.sin(2 * lat + 0.5 + shift)


def half_equirect_alpha(eye_px):
    angle = ((np.arange(eye_px) + 0.5) / eye_px - 0.5) * np.pi
    lon, lat = np.meshgrid(angle, angle)
    return np.rint(255 * np.hstack([alpha_towards(lon, lat, eye) for eye in EYES])).astype(np.uint8)


def fisheye_alpha(x, y, eye_px, fov_deg, eye):
    """Alpha at fisheye pixel positions, 0 where the source's 180 degrees end."""
    u, v = x - eye_px / 2, y - eye_px / 2
    theta = np.hypot(u, v) / (eye_px / 2) * np.radians(fov_deg / 2)
    phi = np.arctan2(v, u)
    dx, dy, dz = np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)
    alpha = alpha_towards(np.arctan2(dx, dz), np.arcsin(np.clip(dy, -1, 1)), eye)
    return np.where(theta <= np.pi / 2, alpha, 0)


def per_pixel_oracle(eye_px, fov_deg):
    """Alpha of every frame pixel, nan outside the discs: formats' per-pixel form."""
    width, height = 2 * eye_px, eye_px
    frame = np.full((height, width), np.nan)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    dy = (rows + height / 2) % height - height / 2
    for eye, centre in ((Eye.LEFT, eye_px), (Eye.RIGHT, 0)):
        dx = (columns - centre + width / 2) % width - width / 2
        x, y = eye_px / 2 + dx / 0.4, eye_px / 2 + dy / 0.4
        inside = np.hypot(dx, dy) <= 0.2 * eye_px
        frame[inside] = fisheye_alpha(x, y, eye_px, fov_deg, eye)[inside]
    return frame


def block_table_oracle(eye_px, fov_deg):
    """The same from the format's table of six blocks; for eyes of a multiple of 5."""
    width, height = 2 * eye_px, eye_px
    t = eye_px * 2 // 5
    h = t // 2
    frame = np.full((height, width), np.nan)
    x, y = np.meshgrid(*[(np.arange(t) + 0.5) / 0.4] * 2)
    outside = np.hypot(x - eye_px / 2, y - eye_px / 2) > eye_px / 2
    left, right = (fisheye_alpha(x, y, eye_px, fov_deg, eye) for eye in EYES)
    left[outside] = right[outside] = np.nan
    middle = width // 2
    frame[height - h :, middle - h : middle + h] = left[:h]
    frame[:h, middle - h : middle + h] = left[h:]
    frame[height - h :, width - h :] = right[:h, :h]
    frame[height - h :, :h] = right[:h, h:]
    frame[:h, width - h :] = right[h:, :h]
    frame[:h, :h] = right[h:, h:]
    return frame


def packed_alpha(eye_px, fov_deg, matte=None):
    """Alpha 0..1 as packed in grey, no picture."""
    frame = flat_frame(eye_px, YUV420P10)
    packer = AlphaPacker(HalfEquirect(eye_px), fov_deg, "grey", YUV420P10, BT709)
    matte = half_equirect_alpha(eye_px) if matte is None else matte
    return (packer.pack(frame, matte).y.astype(float) - 64) / 876


def disagreement(packed, oracle):
    """Mean and 99th percentile error in the discs, of 255; nothing may lie outside them."""
    inside = ~np.isnan(oracle)
    assert (packed[~inside] == 0).all()
    error = 255 * np.abs(packed - oracle)[inside]
    return error.mean(), np.percentile(error, 99)


@pytest.mark.parametrize("fov_deg", [180, 190, 200])
@pytest.mark.parametrize("eye_px", [320, 326, 512])
def test_discs_lie_where_the_format_says(eye_px, fov_deg):
    mean, worst = disagreement(packed_alpha(eye_px, fov_deg), per_pixel_oracle(eye_px, fov_deg))
    # Alpha is rounded twice to 8 bits; the blur costs up to 2 beside the seam at 90 degrees.
    assert mean < 0.6
    assert worst < 3


@pytest.mark.parametrize("eye_px", [320, 400])
def test_discs_agree_with_the_table_of_blocks(eye_px):
    table = block_table_oracle(eye_px, 190)
    assert np.array_equal(np.isnan(table), np.isnan(per_pixel_oracle(eye_px, 190)))
    mean, worst = disagreement(packed_alpha(eye_px, 190), table)
    assert mean < 0.6
    assert worst < 3


@pytest.mark.parametrize("swap", ["eyes", "left and right", "top and bottom"])
def test_the_oracle_catches_swaps(swap):
    matte = half_equirect_alpha(320)
    left, right = half_of(matte, Eye.LEFT), half_of(matte, Eye.RIGHT)
    wrong = {
        "eyes": [right, left],
        "left and right": [left[:, ::-1], right[:, ::-1]],
        "top and bottom": [left[::-1], right[::-1]],
    }[swap]
    mean, _ = disagreement(packed_alpha(320, 190, np.hstack(wrong)), per_pixel_oracle(320, 190))
    assert mean > 20


@pytest.mark.parametrize("eye_px", [512, 1024, 1440, 1536, 3072])
def test_no_sample_of_the_picture_is_touched(eye_px):
    frame = flat_frame(eye_px, code=90)
    packer = AlphaPacker(HalfEquirect(eye_px), 180, "red", YUV420P, BT709)
    shape = frame.y.shape
    without = packer.pack(frame, np.zeros(shape, np.uint8))
    packed = packer.pack(frame, np.full(shape, 255, np.uint8))
    for before, after, step, offset_x, offset_y in (
        (without.y, packed.y, 1, 0.5, 0.5),
        (without.u, packed.u, 2, 0.5, 1.0),
        (without.v, packed.v, 2, 0.5, 1.0),
    ):
        across = (np.arange(before.shape[1]) * step + offset_x) % eye_px - eye_px / 2
        down = np.arange(before.shape[0]) * step + offset_y - eye_px / 2
        picture = np.hypot(*np.meshgrid(across, down)) <= eye_px / 2
        changed = before != after
        assert not (changed & picture).any()
        # Both discs are there, to within the pixels their rims cross.
        area = 2 * np.pi * (0.2 * eye_px / step) ** 2
        assert abs(changed.sum() - area) < 0.02 * area
        assert (before[picture] == 90).mean() > 0.999


@pytest.mark.parametrize("channel", ["grey", "red"])
@pytest.mark.parametrize("layout", [YUV420P, YUV420P10])
@pytest.mark.parametrize("full_range", [False, True])
def test_codes_of_black_and_opaque(channel, layout, full_range):
    color = ColorTags(1, 1, 1, full_range, 1)
    packer = AlphaPacker(HalfEquirect(256), 190, channel, layout, color)
    opaque = np.full((256, 512), 255, np.uint8)
    packed = packer.pack(
        flat_frame(256, layout, color, code=300 >> (10 - layout.bit_depth)), opaque
    )
    # Frame corner and middle of the upper edge are disc centres; black lies between them.
    step = 1 << (layout.bit_depth - 8)
    black = (0 if full_range else 16 * step, 128 * step, 128 * step)
    white = (layout.peak if full_range else 235 * step, 128 * step, 128 * step)
    red = {
        (8, False): (63, 102, 240),
        (8, True): (54, 99, 255),
        (10, False): (250, 409, 960),
        (10, True): (217, 395, 1023),
    }[layout.bit_depth, full_range]
    for column in (0, 256, 511):
        found = tuple(int(plane[0, column // s]) for plane, s in sampled(packed))
        assert found == (white if channel == "grey" else red)
    assert tuple(int(plane[0, 128 // s]) for plane, s in sampled(packed)) == black
    assert packed.pts == 9


def sampled(frame):
    """Each plane with its subsampling."""
    return zip(planes(frame), (1, 2, 2), strict=True)


def planes(frame):
    return frame.y, frame.u, frame.v


@pytest.mark.parametrize("fov_deg", [180, 190, 200])
@pytest.mark.parametrize(("lon_deg", "lat_deg"), [(40, 20), (-75, 0), (10, -80), (0, 0)])
def test_picture_is_an_equidistant_fisheye(fov_deg, lon_deg, lat_deg):
    eye_px = 512
    frame = flat_frame(eye_px)
    centre = [(angle / 180 + 0.5) * eye_px - 0.5 for angle in (lon_deg, lat_deg)]
    columns, rows = np.meshgrid(np.arange(eye_px), np.arange(eye_px))
    # A spot that is round on the sphere: wider in longitude where the meridians meet.
    across = (columns - centre[0]) * np.cos(np.radians(lat_deg))
    spot = np.exp(-(across**2 + (rows - centre[1]) ** 2) / (2 * 2.0**2))
    half_of(frame.y, Eye.RIGHT)[...] = np.rint(16 + 200 * spot)
    packer = AlphaPacker(HalfEquirect(eye_px), fov_deg, "grey", YUV420P, BT709)
    packed = packer.pack(frame, np.zeros(frame.y.shape, np.uint8))
    assert (half_of(packed.y, Eye.LEFT) == 16).all()
    light = half_of(packed.y, Eye.RIGHT).astype(float) - 16
    found = [(light * (axis + 0.5)).sum() / light.sum() for axis in (columns, rows)]
    lon, lat = np.radians([lon_deg, lat_deg])
    radius = np.degrees(np.arccos(np.cos(lon) * np.cos(lat))) / (fov_deg / 2) * eye_px / 2
    towards = np.arctan2(np.sin(lat), np.sin(lon) * np.cos(lat))
    expected = eye_px / 2 + radius * np.cos(towards), eye_px / 2 + radius * np.sin(towards)
    # The centre of light of a spot 2 pixels wide; distortion moves it by less than 0.15 pixel.
    assert np.allclose(found, expected, atol=0.15)


def test_source_ends_at_its_own_radius():
    packed = AlphaPacker(HalfEquirect(400), 190, "grey", YUV420P, BT709).pack(
        flat_frame(400, code=200), np.zeros((400, 800), np.uint8)
    )
    row = half_of(packed.y, Eye.LEFT)[200]
    lit = np.flatnonzero(row == 200)
    assert lit[0] == pytest.approx(200 - 200 * 180 / 190, abs=1)
    assert len(lit) == pytest.approx(400 * 180 / 190, abs=1)
    assert (np.delete(row, lit) == 16).all()


def test_faint_alpha_is_dropped_and_nothing_else():
    packer = AlphaPacker(HalfEquirect(256), 180, "grey", YUV420P, ColorTags(full_range=True))
    frame = flat_frame(256)
    for alpha, code in ((7, 0), (8, 8), (250, 250), (255, 255)):
        matte = np.full((256, 512), alpha, np.uint8)
        assert packer.pack(frame, matte).y[0, 0] == code


@pytest.mark.parametrize("location", [1, 2, 3])
def test_red_chroma_lies_at_its_sites(location):
    color = ColorTags(1, 1, 1, chroma_location=location)
    matte = half_equirect_alpha(320)
    frame = flat_frame(320, YUV420P10, color)
    packed = AlphaPacker(HalfEquirect(320), 190, "red", YUV420P10, color).pack(frame, matte)
    seen = unpack_alpha(packed, 190).astype(int)
    inner = np.tile(np.hypot(*np.meshgrid(*[np.arange(320) - 159.5] * 2)) < 140, 2)
    # Measured 0.2; chroma half a luma pixel off would make it 0.7.
    assert np.abs(seen - matte)[inner].mean() < 0.4


# --- the round trip ---


def portrait_matte(eye_px):
    """Two different bodies with wisps of hair; edges as soft as networks make them."""
    halves = []
    scale, rng = 4, np.random.default_rng(7)
    side = eye_px * scale
    for eye in EYES:
        centre = np.array([0.42 if eye is Eye.LEFT else 0.5, 0.56]) * side
        canvas = np.zeros((side, side), np.uint8)
        axes = (int(0.1 * side), int(0.24 * side))
        cv2.ellipse(canvas, centre.astype(int).tolist(), axes, 12, 0, 360, 255, -1)
        for angle in rng.uniform(np.pi, 2 * np.pi, 40):
            out = np.array([np.cos(angle), np.sin(angle)])
            start = centre + out * axes * 0.95
            end = start + out * side * rng.uniform(0.03, 0.08)
            ends = [point.astype(int).tolist() for point in (start, end)]
            cv2.line(canvas, *ends, 255, side // 160)
        sharp = cv2.resize(canvas, (eye_px, eye_px), interpolation=cv2.INTER_AREA)
        halves.append(cv2.GaussianBlur(sharp, (0, 0), 1.5))
    return np.hstack(halves)


def textured_frame(eye_px):
    rng = np.random.default_rng(2)
    coarse = rng.integers(40, 210, (3, eye_px // 8, eye_px // 4), dtype=np.uint8)
    y = cv2.resize(coarse[0], (2 * eye_px, eye_px), interpolation=cv2.INTER_CUBIC)
    u, v = (cv2.resize(c, (eye_px, eye_px // 2), interpolation=cv2.INTER_CUBIC) for c in coarse[1:])
    return PlanarFrame(y, u, v, YUV420P, BT709)


def through_x264(frame, crf):
    """The second of three equal frames after encoding and decoding."""
    height, width = frame.y.shape
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as writer:
        stream = writer.add_stream("libx264", rate=30, options={"crf": crf, "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        i420 = np.concatenate([plane.ravel() for plane in planes(frame)]).reshape(-1, width)
        for index in range(3):
            picture = av.VideoFrame.from_ndarray(i420, format="yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, 30)
            writer.mux(stream.encode(picture))
        writer.mux(stream.encode())
    file.seek(0)
    with av.open(file) as reader:
        decoded = [picture.to_ndarray() for picture in reader.decode(video=0)][1]
    quarter = height * width // 4
    chroma = decoded[height:].ravel()
    shape = (height // 2, width // 2)
    u, v = chroma[:quarter].reshape(shape), chroma[quarter:].reshape(shape)
    return PlanarFrame(decoded[:height].copy(), u.copy(), v.copy(), YUV420P, frame.color)


@pytest.fixture(scope="module")
def round_trips():
    eye_px = 512
    matte = portrait_matte(eye_px)
    seen = {}
    for channel in ("grey", "red"):
        packer = AlphaPacker(HalfEquirect(eye_px), 190, channel, YUV420P, BT709)
        packed = packer.pack(textured_frame(eye_px), matte)
        seen[channel] = unpack_alpha(through_x264(packed, "20"), 190).astype(int)
    return matte, seen


@pytest.mark.parametrize(("channel", "mean_error"), [("grey", 2), ("red", 2.5)])
def test_alpha_survives_the_codec(round_trips, channel, mean_error):
    """Mean error 0.8 for grey, 1.8 for red, which rests on half-resolution chroma."""
    matte, seen = round_trips[0], round_trips[1][channel]
    reach = np.ones((17, 17), np.uint8)
    inside = cv2.erode(matte, reach) == 255
    outside = cv2.dilate(matte, reach) == 0
    assert np.abs(seen - matte).mean() < mean_error
    assert seen[inside].mean() > 250
    assert np.percentile(seen[outside], 99) < 8


def test_grey_keeps_edges_better_than_red(round_trips):
    matte, seen = round_trips
    band = (matte > 5) & (matte < 250)
    error = {channel: np.abs(alpha - matte)[band].mean() for channel, alpha in seen.items()}
    # Measured 18 and 35 of 255.
    assert error["grey"] < 0.7 * error["red"]


@pytest.mark.parametrize("fov_deg", [180, 190, 200])
def test_unpacking_undoes_packing(fov_deg):
    matte = half_equirect_alpha(320)
    frame = flat_frame(320)
    packed = AlphaPacker(HalfEquirect(320), fov_deg, "grey", YUV420P, BT709).pack(frame, matte)
    error = np.abs(unpack_alpha(packed, fov_deg).astype(int) - matte)
    # Away from the seam, where linear reading mixes in the black around the disc. A matte shifted
    # by one pixel has a mean error of 1.
    inner = np.hypot(*np.meshgrid(*[np.arange(320) - 159.5] * 2)) < 140
    assert error[np.tile(inner, 2)].mean() < 0.7
    assert error[np.tile(inner, 2)].max() <= 3


def test_unpacking_with_another_field_of_view_is_noticed():
    matte = portrait_matte(256)
    packed = AlphaPacker(HalfEquirect(256), 190, "grey", YUV420P, BT709).pack(
        flat_frame(256), matte
    )
    right, wrong = (
        np.abs(unpack_alpha(packed, fov).astype(int) - matte).mean() for fov in (190, 180)
    )
    assert wrong > 1.5 * right


def test_narrow_views_leave_the_rest_transparent():
    opaque = np.full((256, 512), 255, np.uint8)
    packed = AlphaPacker(HalfEquirect(256), 120, "grey", YUV420P, BT709).pack(
        flat_frame(256), opaque
    )
    seen = half_of(unpack_alpha(packed, 120), Eye.LEFT)
    assert seen[128, 128] == 255
    assert (seen[128, :40] == 0).all()


def test_matte_disc_there_and_back():
    disc = MatteDisc(512, 190)
    assert disc.size % 4 == 0
    assert disc.size >= 0.4 * 512 + 4
    x, y = np.meshgrid(np.arange(disc.size) + 0.5, np.arange(disc.size) + 0.5)
    shown = disc.covers(x, y)
    back = disc.pixels(*disc.directions(x[shown], y[shown]))
    assert np.allclose(back, (x[shown], y[shown]), atol=1e-9)


def test_what_does_not_fit_is_refused():
    packer = AlphaPacker(HalfEquirect(128), 190, "grey", YUV420P, BT709)
    matte = np.zeros((128, 256), np.uint8)
    with pytest.raises(ValueError, match="expected yuv420p"):
        packer.pack(flat_frame(130), matte)
    with pytest.raises(ValueError, match="expected yuv420p"):
        packer.pack(flat_frame(128), matte[:, :128])
    with pytest.raises(ValueError, match="expected yuv420p"):
        packer.pack(flat_frame(128, YUV420P10), matte)
    with pytest.raises(ValueError, match="chroma samples"):
        AlphaPacker(HalfEquirect(127), 190, "grey", YUV420P, BT709)
    square = PlanarFrame(
        *[plane[:, : plane.shape[1] // 2] for plane in planes(flat_frame(128))], YUV420P, BT709
    )
    with pytest.raises(ValueError, match="twice as wide"):
        unpack_alpha(square, 190)
