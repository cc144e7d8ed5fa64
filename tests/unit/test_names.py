from __future__ import annotations

from typing import get_args

import pytest

from vrmatte.compose.names import output_name
from vrmatte.config import DeliverableName
from vrmatte.media.naming import projection_from_name, strip_projection_tags


@pytest.mark.parametrize(
    ("deliverable", "name"),
    [
        ("matte", "holiday_LR_180_matte.mp4"),
        ("matte-lossless", "holiday_LR_180_matte.mkv"),
        ("greenscreen", "holiday_LR_180_greenscreen.mp4"),
        ("alpha-packed", "holiday_FISHEYE190_alpha.mp4"),
    ],
)
def test_names(deliverable, name):
    assert output_name("holiday", deliverable, 190) == name


def test_field_of_view_stands_in_the_name():
    assert output_name("a.b", "alpha-packed", 200) == "a.b_FISHEYE200_alpha.mp4"


def test_every_deliverable_has_a_name_of_its_own():
    names = {output_name("x", deliverable, 190) for deliverable in get_args(DeliverableName)}
    assert len(names) == len(get_args(DeliverableName))


def test_names_say_to_players_what_the_file_is():
    stem = strip_projection_tags("holiday_180x180_3dh_LR")
    packed = projection_from_name(output_name(stem, "alpha-packed", 190).removesuffix(".mp4"))
    assert (packed.projection, packed.fov_deg, packed.alpha_packed) == ("fisheye", 190, True)
    plain = projection_from_name(output_name(stem, "greenscreen", 190).removesuffix(".mp4"))
    assert (plain.projection, plain.stereo) == ("half_equirect", "side_by_side")
