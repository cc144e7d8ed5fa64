from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import pytest

from support.media.media_fixtures import people_picture
from vrmatte.errors import ConfigError
from vrmatte.frames import YUV420P, YUV420P10, YUVA420P, YUVA444P10
from vrmatte.media.encoders import (
    EncoderSpec,
    alpha_encoder,
    choose_encoder,
    preview_encoder,
    trial_encode,
)
from vrmatte.settings.config import OutputConfig

NTSC = Fraction(30000, 1001)


def choose(width=4096, depth=8, rate=NTSC, trial=None, **output):
    config = OutputConfig.model_validate({"encoder": "software", **output})
    return choose_encoder(config, width, width // 2, depth, rate, trial)


def fail_always(*_):
    return "broken"


@pytest.mark.parametrize(
    ("width", "depth", "encoder", "layout"),
    [
        (4096, 8, "libx264", YUV420P),
        (4098, 8, "libx265", YUV420P),
        (2048, 10, "libx265", YUV420P10),
    ],
)
def test_auto_picks_what_plays_everywhere(width, depth, encoder, layout):
    spec = choose(width, depth).spec
    assert (spec.encoder, spec.layout, spec.container) == (encoder, layout, "mp4")
    assert spec.codec_tag == ("hvc1" if encoder == "libx265" else None)


def test_quality_preset_and_key_frames_reach_the_encoder():
    spec = choose(codec="hevc", quality=31, preset="fast").spec
    options = dict(spec.options)
    assert (options["crf"], options["preset"], options["g"]) == ("31", "fast", "60")
    assert "open-gop=0" in options["x265-params"]
    assert spec.label == "libx265 yuv420p crf=31 preset=fast"


def test_av1():
    spec = choose(codec="av1", quality=60, depth=10).spec
    assert (spec.encoder, spec.layout) == ("libsvtav1", YUV420P10)


@pytest.mark.parametrize(
    ("codec", "preset", "accepted"), [("h264", "p5", "ultrafast"), ("av1", "fast", "13")]
)
def test_an_unknown_preset_is_refused(codec, preset, accepted):
    with pytest.raises(ConfigError, match=f"output.preset can't be '{preset}'.*{accepted}"):
        choose(codec=codec, preset=preset)


def test_a_hardware_encoder_must_prove_itself():
    def trial(spec, *_):
        return "no card" if "nvenc" in spec.encoder else None

    asked = choose(width=6144, encoder="nvenc", trial=trial)
    assert asked.spec.encoder == "libx265"
    assert asked.notices == (
        "hevc_nvenc can't encode 6144x3072 here (no card): using libx265 on the CPU",
    )
    automatic = choose(encoder="auto", trial=trial)
    assert automatic.spec.encoder == "h264_qsv"
    assert automatic.notices == ()


@pytest.mark.parametrize(
    ("family", "depth", "layout", "quality"),
    [
        ("nvenc", 8, "yuv420p", "cq"),
        ("nvenc", 10, "yuv420p10le", "cq"),
        ("qsv", 8, "nv12", "global_quality"),
        ("amf", 10, "p010le", "qp_i"),
    ],
)
def test_hardware_encoders_get_their_own_words(family, depth, layout, quality):
    output = {"encoder": family, "codec": "hevc", "quality": 23}
    spec = choose(depth=depth, trial=lambda *_: None, **output).spec
    assert (spec.encoder, spec.layout.name) == (f"hevc_{family}", layout)
    assert dict(spec.options)[quality] == "23"


def test_settings_no_encoder_takes_are_refused():
    with pytest.raises(ConfigError, match=r"libx264 rejects these settings \(broken\)"):
        choose(trial=fail_always)


def test_a_trial_says_why_in_few_words():
    good = EncoderSpec("libx264", YUV420P, (), None, "mp4")
    assert trial_encode(good, 256, 128) is None
    assert trial_encode(good, 255, 128)
    unknown = EncoderSpec("h264_nothing", YUV420P, (), None, "mp4")
    reason = trial_encode(unknown, 256, 128)
    assert reason
    assert len(reason) <= 120


def test_large_pictures_are_not_hoarded():
    assert "bframes=0" in dict(choose(width=6144).spec.options)["x265-params"]
    assert "bframes=0" not in dict(choose(width=4096, depth=10).spec.options)["x265-params"]


def alpha(name, depth=10, width=512, trial=None, **output):
    return alpha_encoder(name, depth, width, width // 2, NTSC, OutputConfig(**output), trial)


@pytest.mark.parametrize(
    ("name", "depth", "encoder", "layout", "container"),
    [
        ("prores4444", 8, "prores_ks", YUVA444P10, "mov"),
        ("prores4444", 10, "prores_ks", YUVA444P10, "mov"),
        ("webm-alpha", 8, "libvpx-vp9", YUVA420P, "webm"),
        ("webm-alpha", 10, "libvpx-vp9", YUVA420P, "webm"),
        ("ffv1-alpha", 8, "ffv1", YUVA420P, "matroska"),
        ("ffv1-alpha", 10, "ffv1", YUVA444P10, "matroska"),
    ],
)
def test_files_with_alpha(name, depth, encoder, layout, container):
    spec = alpha(name, depth).spec
    assert (spec.encoder, spec.layout, spec.container) == (encoder, layout, container)
    assert trial_encode(spec, 256, 128) is None


@pytest.mark.parametrize("bits", [8, 16])
def test_depth_of_prores_alpha(bits):
    spec = alpha("prores4444", prores_alpha_bits=bits).spec
    assert dict(spec.options)["alpha_bits"] == str(bits)
    assert spec.label == f"prores_ks yuva444p10le profile=4444 alpha_bits={bits}"


def test_ffv1_has_checksums_in_many_slices():
    options = dict(alpha("ffv1-alpha").spec.options)
    assert (options["level"], options["slicecrc"], options["g"]) == ("3", "1", "1")
    assert int(options["slices"]) > 4


def test_webm_keeps_picture_and_alpha_in_step():
    options = dict(alpha("webm-alpha", 8).spec.options)
    assert (options["auto-alt-ref"], options["lag-in-frames"], options["g"]) == ("0", "0", "60")
    assert (options["row-mt"], options["b"]) == ("1", "0")


@pytest.mark.parametrize(
    ("preset", "deadline", "speed"),
    [(None, "realtime", "6"), ("7", "realtime", "7"), ("5", "good", "5"), ("0", "good", "0")],
)
def test_quality_and_speed_of_webm(preset, deadline, speed):
    choice = alpha("webm-alpha", 8, preset=preset, quality=31)
    options = dict(choice.spec.options)
    assert (options["crf"], options["deadline"], options["cpu-used"]) == ("31", deadline, speed)
    assert choice.notices == ()


def test_what_a_file_with_alpha_cant_do_is_told():
    assert alpha("webm-alpha", 8).notices == alpha("prores4444").notices == ()
    (eight,) = alpha("webm-alpha", 10).notices
    assert eight.startswith("webm-alpha stores 8 bits only: 10-bit frames are rounded for it")
    (preset,) = alpha("webm-alpha", 8, preset="slow").notices
    assert preset.endswith("output.preset=slow is ignored for it")
    assert [
        notice.split(":")[1] for notice in alpha("ffv1-alpha", quality=3, preset="1").notices
    ] == [
        " output.quality is ignored for it",
        " output.preset is ignored for it",
    ]


def test_alpha_that_no_encoder_here_makes():
    with pytest.raises(ConfigError, match=r"webm-alpha can't be encoded here: libvpx-vp9 .*broken"):
        alpha("webm-alpha", trial=fail_always)


def test_a_trial_is_made_in_the_specs_own_container():
    vp9 = alpha("webm-alpha", 8).spec
    assert trial_encode(vp9, 256, 128) is None
    wrong = EncoderSpec("libx264", YUV420P, (), None, "webm")
    assert trial_encode(wrong, 256, 128)
    assert trial_encode(EncoderSpec("libx264", YUV420P, (), None, "mp4"), 256, 128) is None


def test_only_prores_has_no_full_range():
    assert not alpha("prores4444").spec.holds_full_range
    assert alpha("ffv1-alpha").spec.holds_full_range
    assert alpha("webm-alpha").spec.holds_full_range


def test_a_preview_is_small_and_opens_everywhere():
    spec = preview_encoder(NTSC).spec
    assert (spec.encoder, spec.layout, spec.container) == ("libx264", YUV420P, "mp4")
    assert trial_encode(spec, 1280, 640) is None


@pytest.mark.parametrize("size", [(96, 96), (320, 160)])
@pytest.mark.parametrize("kind", ["file", "preview"])
def test_h264_makes_the_same_file_every_time(size, kind):
    spec = choose(size[0]).spec if kind == "file" else preview_encoder(NTSC).spec
    assert len({encoded(spec, size) for _ in range(25)}) == 1


def encoded(spec: EncoderSpec, size: tuple[int, int]) -> bytes:
    with av.open(io.BytesIO(), "w", format="mp4") as container:
        stream: Any = container.add_stream(spec.encoder, rate=30, options=dict(spec.options))
        stream.width, stream.height = size
        stream.pix_fmt = spec.layout.name
        packets: list[bytes] = []
        for index in range(10):
            shown = people_picture(index, size, spec.layout.name, index, Fraction(1, 30))
            packets += map(bytes, stream.encode(shown))
        return b"".join([*packets, *map(bytes, stream.encode(None))])
