from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from vrmatte.errors import ChunkError, OutputError
from vrmatte.files import sha256_of
from vrmatte.frames import (
    YUV420P,
    YUV420P10,
    YUVA420P,
    YUVA444P10,
    ColorTags,
    PixelLayout,
    PlanarFrame,
    StraightFrame,
)
from vrmatte.media.encode import ChunkWriter
from vrmatte.media.encoders import MATTE_STORE, EncoderSpec, choose_encoder
from vrmatte.settings.config import OutputConfig

X264 = EncoderSpec("libx264", YUV420P, (("crf", "18"), ("preset", "ultrafast")), None, "mp4")
X265 = EncoderSpec(
    "libx265",
    YUV420P10,
    (("preset", "ultrafast"), ("x265-params", "log-level=none")),
    "hvc1",
    "mp4",
)
PRORES = EncoderSpec("prores_ks", YUVA444P10, (("profile", "4444"),), None, "mov")
SIZE = (128, 64)
COLOR = ColorTags(9, 16, 9, full_range=True)
TICK = Fraction(1, 30000)


def picture(level: int, layout: PixelLayout = YUV420P) -> PlanarFrame:
    y = np.full((64, 128), level << (layout.bit_depth - 8), layout.dtype)
    small = 64 >> layout.chroma_shift_y, 128 >> layout.chroma_shift_x
    chroma = np.full(small, 128 << (layout.bit_depth - 8), layout.dtype)
    return PlanarFrame(y, chroma, chroma, layout, COLOR)


def writer(path, spec=X264, time_base=TICK) -> ChunkWriter:
    return ChunkWriter(path, spec, SIZE, COLOR, time_base, Fraction(30000, 1001))


def write(path, spec=X264, time_base=TICK, pts=(500, 1501, 3000)):
    with writer(path, spec, time_base) as opened:
        for index, time in enumerate(pts):
            grey = np.full((64, 128), index * 9, np.uint8)
            opened.write(grey if spec is MATTE_STORE else picture(40 + index, spec.layout), time)
        return opened.commit()


def frames_of(path):
    with av.open(str(path)) as container:
        return [(frame.pts, frame) for frame in container.decode(video=0)]


def test_a_chunk_appears_whole_at_commit(tmp_path):
    path = tmp_path / "chunk.mp4"
    with writer(path) as opened:
        opened.write(picture(50), 0)
        assert not path.exists()
        made = opened.commit()
    assert [p.name for p in tmp_path.iterdir()] == ["chunk.mp4"]
    assert (made.path, made.frames, made.bytes) == (path, 1, path.stat().st_size)
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == sha256_of(path)


def test_nothing_half_made_stays(tmp_path):
    def interrupted() -> None:
        with writer(tmp_path / "chunk.mp4") as opened:
            opened.write(picture(50), 0)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spec", [X264, X265])
def test_times_start_at_zero_and_are_exact(tmp_path, spec):
    write(tmp_path / "chunk.mp4", spec)
    assert [pts for pts, _ in frames_of(tmp_path / "chunk.mp4")] == [0, 1001, 2500]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_chunk_shorter_than_x265_reorders(tmp_path, frames):
    output = OutputConfig(encoder="software", codec="hevc")
    spec = choose_encoder(output, *SIZE, 8, Fraction(30)).spec
    times = [1001 * index for index in range(frames)]
    for number in range(6):
        path = tmp_path / f"chunk{number}.mp4"
        write(path, spec, pts=times)
        assert [pts for pts, _ in frames_of(path)] == times


@pytest.mark.parametrize(
    ("pts", "dts", "repaired"),
    [(0, -193_273_528_365, -16), (0, 7, -16), (0, None, -16), (0, -2002, -2002), (90, 90, 90)],
)
def test_decode_times_from_memory_x265_never_wrote(tmp_path, pts, dts, repaired):
    """Which ones it makes up changes from try to try, so that no chunk shows them for sure."""
    packet = av.Packet(b"coded")
    packet.pts, packet.dts = pts, dts
    with writer(tmp_path / "chunk.mp4") as opened:
        opened._repair_decode_time(packet)
        opened.discard()
    assert packet.dts == repaired


def test_a_time_base_that_is_no_unit_fraction(tmp_path):
    write(tmp_path / "chunk.mp4", time_base=Fraction(1001, 30000), pts=(4, 5, 7))
    assert [pts for pts, _ in frames_of(tmp_path / "chunk.mp4")] == [0, 1001, 3003]


def test_the_matte_store_is_lossless(tmp_path):
    write(tmp_path / "matte.mkv", MATTE_STORE)
    levels = [frame.to_ndarray() for _, frame in frames_of(tmp_path / "matte.mkv")]
    assert [(a.min(), a.max()) for a in levels] == [(0, 0), (9, 9), (18, 18)]


def test_colour_tags_and_codec_tag_are_written(tmp_path):
    write(tmp_path / "chunk.mp4", X265)
    with av.open(str(tmp_path / "chunk.mp4")) as container:
        context = container.streams.video[0].codec_context
        found = (context.color_primaries, context.color_trc, context.colorspace)
        assert (*found, context.color_range) == (9, 16, 9, 2)
        assert context.codec_tag == "hvc1"
        assert context.pix_fmt == "yuv420p10le"


def test_a_hardware_layout_is_filled_from_planes(tmp_path):
    spec = replace(X264, layout=PixelLayout("nv12", 8, 1, 1))
    with writer(tmp_path / "chunk.mp4", spec) as opened:
        opened.write(picture(77), 0)
        opened.commit()
    ((_, frame),) = frames_of(tmp_path / "chunk.mp4")
    assert abs(int(frame.to_ndarray()[10, 10]) - 77) <= 1  # the encoder's quantiser


def test_a_lost_frame_is_noticed(tmp_path):
    opened = writer(tmp_path / "chunk.mp4")
    opened.write(picture(50), 0)
    opened._frames += 1
    with pytest.raises(ChunkError, match="encoded 2 frames to 1 packets"):
        opened.commit()
    assert not (tmp_path / "chunk.mp4").exists()


@pytest.mark.parametrize(("after", "kind"), [(0, OutputError), (3, ChunkError)])
def test_an_encoder_that_fails_later_fails_at_its_pictures(tmp_path, monkeypatch, after, kind):
    """One that refuses to begin has wrong settings, which are those of every chunk."""

    class Failing:
        def encode(self, frame):
            raise av.error.ExternalError(-542398533, "Generic error in an external library")

    opened = writer(tmp_path / "chunk.mp4")
    for number in range(after):
        opened.write(picture(50), number)
    monkeypatch.setattr(opened, "_stream", Failing())
    with pytest.raises(kind, match="Generic error"):
        opened.write(picture(50), after)
    opened.discard()


def test_a_folder_that_is_gone_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"can't write .*gone"):
        write(tmp_path / "gone" / "chunk.mp4")


def test_a_picture_with_alpha_is_written_with_exact_times(tmp_path):
    color = replace(COLOR, full_range=False)
    opened = ChunkWriter(tmp_path / "chunk", PRORES, SIZE, color, TICK, Fraction(30))
    with opened:
        for time in (500, 1501, 1502):
            opaque = np.full((64, 128), 1023, np.uint16)
            opened.write(StraightFrame(picture(60, YUVA444P10), opaque), time)
        assert opened.commit().frames == 3
    shown = frames_of(tmp_path / "chunk")
    assert [pts for pts, _ in shown] == [0, 1001, 1002]
    assert {frame.format.name for _, frame in shown} == {"yuva444p12le"}


def test_alpha_in_another_layout_is_not_converted(tmp_path):
    other = StraightFrame(picture(60, YUVA420P), np.zeros((64, 128), np.uint8))
    spec = EncoderSpec("ffv1", YUVA444P10, (("level", "3"),), None, "matroska")
    with (
        pytest.raises(ValueError, match="is yuva420p; expected yuva444p10le"),
        writer(tmp_path / "chunk", spec) as opened,
    ):
        opened.write(other, 0)
    assert not list(tmp_path.iterdir())


def test_prores_refuses_full_range(tmp_path):
    with pytest.raises(OutputError, match="limited-range video only"):
        writer(tmp_path / "chunk", PRORES)
    assert not list(tmp_path.iterdir())
