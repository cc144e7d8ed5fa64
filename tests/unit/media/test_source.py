from __future__ import annotations

from dataclasses import replace

import pytest

from support.media.media_fixtures import write_clip
from vrmatte.errors import ConfigError, InputError
from vrmatte.media.probe import probe
from vrmatte.media.source import check_source, open_source
from vrmatte.settings.config import InputConfig


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "clip_LR_180.mp4"
    write_clip(path, frames=2)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rotation_deg": 90}, "rotation flag of 90 degrees"),
        ({"stereo": "top_bottom"}, "looks like top bottom"),
        ({"eyes_swapped": True}, "has the right eye on the left"),
        ({"projection": "equirect"}, "looks like equirect projection"),
        ({"width": 200}, "is 200x128; side-by-side VR180 is twice as wide"),
        ({"width": 258, "height": 129}, "the height must be even"),
    ],
)
def test_sources_that_cannot_be_matted_are_refused(clip, change, message):
    source = probe(clip)
    check_source(source)
    with pytest.raises(InputError, match=message):
        check_source(replace(source, **change))


def test_a_source_is_opened_with_the_overrides(clip):
    assert open_source(clip, InputConfig()).projection == "half_equirect"
    source = open_source(clip, InputConfig(lens="fisheye190"))
    assert (source.projection, source.projection_fov_deg) == ("fisheye", 190.0)
    with pytest.raises(InputError, match="looks like flat projection"):
        open_source(clip, InputConfig(projection="flat"))
    with pytest.raises(InputError, match="looks like mono"):
        open_source(clip, InputConfig(layout="mono"))
    with pytest.raises(ConfigError, match="leave one out"):
        open_source(clip, InputConfig(lens="fisheye190", projection="half_equirect"))
