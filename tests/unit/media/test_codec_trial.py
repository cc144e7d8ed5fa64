from __future__ import annotations

from fractions import Fraction
from io import BytesIO

import av
import pytest

from vrmatte.frames import YUV420P
from vrmatte.media import codec_trial as trial
from vrmatte.media.codec_trial import try_codec
from vrmatte.media.encoders import MATTE_STORE, EncoderSpec, choose_encoder
from vrmatte.settings.config import OutputConfig

H264 = choose_encoder(OutputConfig(codec="h264"), 512, 256, 8, Fraction(30)).spec


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_working_codecs_pass(codec, depth):
    spec = choose_encoder(OutputConfig(codec=codec), 512, 256, depth, Fraction(30)).spec
    found = try_codec(spec, 512, 256)
    assert (found.encoding, found.decoding) == (None, None)


def test_grey_pictures_pass():
    assert try_codec(MATTE_STORE, 512, 256).decoding is None


def test_an_encoder_that_is_not_there_is_told():
    assert try_codec(EncoderSpec("h264_none", YUV420P, (), None, "mp4"), 512, 256).encoding


def test_a_size_no_encoder_takes_is_told():
    assert try_codec(H264, 511, 256).encoding


def encoded(image: av.VideoFrame) -> BytesIO:
    file = BytesIO()
    trial._encode(H264, image, file)
    return file


def test_another_image_is_reported():
    image = trial._test_image(512, 256)
    assert trial.compare_decoded(encoded(image), image) is None
    dark = trial._test_image(512, 256)
    for plane in dark.planes:
        plane.update(bytes(plane.buffer_size))
    assert "/255" in (trial.compare_decoded(encoded(dark), image) or "")


def test_another_size_is_reported():
    small = encoded(trial._test_image(256, 128))
    fault = trial.compare_decoded(small, trial._test_image(512, 256))
    assert "decoded frame is 256x128" in (fault or "")


def test_a_broken_file_is_an_error():
    with pytest.raises(av.error.InvalidDataError):
        trial.compare_decoded(BytesIO(b"no video" * 100), trial._test_image(512, 256))
