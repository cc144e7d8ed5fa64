from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrmatte.media.naming import NameHint, projection_from_name, strip_projection_tags

TAGGED = [
    ("beach_LR_180", NameHint("side_by_side", "half_equirect")),
    ("beach_180_LR", NameHint("side_by_side", "half_equirect")),
    ("beach_SBS_180", NameHint("side_by_side", "half_equirect")),
    ("beach_180_sbs", NameHint("side_by_side", "half_equirect")),
    ("beach_TB_180", NameHint("top_bottom", "half_equirect")),
    ("beach_180x180_3dh", NameHint("side_by_side", "half_equirect")),
    ("beach_180x180_3dh_LR", NameHint("side_by_side", "half_equirect")),
    ("beach_180x180_3dv", NameHint("top_bottom", "half_equirect")),
    ("beach.VR180", NameHint(None, "half_equirect")),
    ("beach-vr180", NameHint(None, "half_equirect")),
    ("beach_FISHEYE", NameHint(None, "fisheye", 180.0, "fisheye")),
    ("beach_LR_F180", NameHint("side_by_side", "fisheye", 180.0, "fisheye180")),
    ("beach_180F", NameHint(None, "fisheye", 180.0, "fisheye180")),
    ("beach_SBS_F135", NameHint("side_by_side", "fisheye", 135.0, None)),
    ("beach_FISHEYE180", NameHint(None, "fisheye", 180.0, "fisheye180")),
    ("beach_FISHEYE190", NameHint(None, "fisheye", 190.0, "fisheye190")),
    ("beach_fisheye190_alpha", NameHint(None, "fisheye", 190.0, "fisheye190", alpha_packed=True)),
    ("beach_RF52", NameHint(None, "fisheye", 190.0, "rf52")),
    ("beach_MKX200", NameHint(None, "fisheye", 200.0, "mkx200")),
    ("beach_MKX220", NameHint(None, "fisheye", 220.0, "mkx220")),
    ("beach_VRCA220", NameHint(None, "fisheye", 220.0, "vrca220")),
    ("beach_180_RL", NameHint("side_by_side", "half_equirect", eyes_swapped=True)),
    ("beach_360_TB", NameHint("top_bottom", "equirect")),
    ("beach_FISHEYE190_LR_180", NameHint("side_by_side", "fisheye", 190.0, "fisheye190")),
    ("beach_LR", NameHint("side_by_side")),
    ("beach_SBS", NameHint("side_by_side")),
    ("beach_alpha", NameHint(alpha_packed=True)),
    ("beach_ALPHA", NameHint(alpha_packed=True)),
    ("beach_alphapacked", NameHint(alpha_packed=True)),
    ("beach_FISHEYE190-alpha", NameHint(None, "fisheye", 190.0, "fisheye190", alpha_packed=True)),
]
ORDINARY = [
    "alpha_centauri",
    "alpha",
    "project-alpha",
    "turn_180",
    "xbox_360_review",
    "fisheye_lens_review",
    "tb_vaccine",
    "LR_wheel",
    "Malory",
    "MKX2000",
    "VR1800",
    "sbsystem",
    "clip_1180_lrx",
    "180",
    "---",
    "SBS_news_report",
]


@pytest.mark.parametrize(("stem", "hint"), TAGGED)
def test_tags_are_read_and_removed(stem: str, hint: NameHint) -> None:
    assert projection_from_name(stem) == hint
    assert strip_projection_tags(stem) == "beach"


@pytest.mark.parametrize("stem", ORDINARY)
def test_ordinary_words_stay(stem: str) -> None:
    assert projection_from_name(stem) == NameHint()
    assert strip_projection_tags(stem) == stem


@pytest.mark.parametrize(
    ("stem", "rest"),
    [
        ("beach_LR_180_final", "beach_final"),
        ("VR180_beach", "beach"),
        ("beach (VR180)", "beach"),
        ("beach [FISHEYE190] day 2", "beach day 2"),
        ("my VR180 trip_180_LR", "my trip"),
        ("VR180", "video"),
        ("_FISHEYE190_alpha", "video"),
        ("плаж_LR_180", "плаж"),
    ],
)
def test_what_is_left_reads_well(stem: str, rest: str) -> None:
    assert strip_projection_tags(stem) == rest


TAGS = ("LR", "180", "sbs", "TB", "VR180", "fisheye", "FISHEYE190", "alpha", "3dh", "180x180")
PIECES = st.sampled_from([*TAGS, *"_-. ()[]2é", "beach"])
STEMS = st.one_of(st.text(min_size=1), st.lists(PIECES, min_size=1).map("".join))


@given(STEMS)
def test_stripping_is_idempotent_and_never_empty(stem: str) -> None:
    once = strip_projection_tags(stem)
    assert once
    assert strip_projection_tags(once) == once


@given(STEMS)
def test_nothing_is_left_that_a_player_could_read(stem: str) -> None:
    hint = projection_from_name(strip_projection_tags(stem))
    assert hint == NameHint()


def test_numbers_that_are_no_field_of_view_are_left_alone():
    assert projection_from_name("F180 at the airport") == NameHint()
    assert projection_from_name("BMW_F900").fov_deg is None
    assert projection_from_name("beach_F190_LR_4K").fov_deg == 190
    assert strip_projection_tags("BMW_F900") == "BMW_F900"
