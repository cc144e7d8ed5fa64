from __future__ import annotations

from fractions import Fraction

import pytest

from vrmatte.config import OutputConfig
from vrmatte.errors import ConfigError
from vrmatte.frames import YUV420P, YUV420P10
from vrmatte.media import encoders
from vrmatte.media.encoders import EncoderSpec, choose_encoder, trial_encode

NTSC = Fraction(30000, 1001)


def choose(width=4096, depth=8, rate=NTSC, **output):
    config = OutputConfig.model_validate({"encoder": "software", **output})
    return choose_encoder(config, width, width // 2, depth, rate)


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


def test_a_hardware_encoder_must_prove_itself(monkeypatch):
    monkeypatch.setattr(
        encoders, "trial_encode", lambda spec, *_: "no card" if "nvenc" in spec.encoder else None
    )
    asked = choose(width=6144, encoder="nvenc")
    assert asked.spec.encoder == "libx265"
    assert asked.notices == (
        "hevc_nvenc can't encode 6144x3072 here (no card): using libx265 on the CPU",
    )
    assert choose(encoder="auto").spec.encoder == "h264_qsv"
    assert choose(encoder="auto").notices == ()


@pytest.mark.parametrize(
    ("family", "depth", "layout", "quality"),
    [
        ("nvenc", 8, "yuv420p", "cq"),
        ("nvenc", 10, "yuv420p10le", "cq"),
        ("qsv", 8, "nv12", "global_quality"),
        ("amf", 10, "p010le", "qp_i"),
    ],
)
def test_hardware_encoders_get_their_own_words(monkeypatch, family, depth, layout, quality):
    monkeypatch.setattr(encoders, "trial_encode", lambda *_: None)
    spec = choose(depth=depth, encoder=family, codec="hevc", quality=23).spec
    assert (spec.encoder, spec.layout.name) == (f"hevc_{family}", layout)
    assert dict(spec.options)[quality] == "23"


def test_settings_no_encoder_takes_are_refused(monkeypatch):
    monkeypatch.setattr(encoders, "trial_encode", lambda *_: "broken")
    with pytest.raises(ConfigError, match=r"libx264 refuses these settings \(broken\)"):
        choose()


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
