from __future__ import annotations

from typing import Any

import pytest

from vrmatte.deliverable_kinds import KINDS, DeliverableName, View
from vrmatte.deliverables.names import output_name, refuse_shared_names, view_tag
from vrmatte.errors import ConfigError
from vrmatte.frames import EYES, Eye
from vrmatte.media.naming import projection_from_name, strip_projection_tags
from vrmatte.settings.choices import LensName

ALL = tuple(KINDS)
NOT_PACKED = [name for name, kind in KINDS.items() if kind.view is not View.PACKED]


def name_of(
    stem: str,
    deliverable: DeliverableName,
    fisheye_fov_deg: int | None = None,
    lens: LensName | None = None,
    **more: Any,
) -> str:
    """Return the name of a deliverable; packed files have a fisheye of 190 degrees."""
    kind = KINDS[deliverable]
    if kind.view is View.PACKED and fisheye_fov_deg is None:
        fisheye_fov_deg = 190
    return output_name(stem, kind, view_tag(kind, fisheye_fov_deg, lens), **more)


@pytest.mark.parametrize(
    ("deliverable", "name"),
    [
        ("matte", "holiday_LR_180_matte.mp4"),
        ("matte-lossless", "holiday_LR_180_matte.mkv"),
        ("xalpha", "holiday_LR_180_XALPHA.mp4"),
        ("greenscreen", "holiday_LR_180_greenscreen.mp4"),
        ("alpha-packed", "holiday_FISHEYE190_alpha.mp4"),
        ("prores4444", "holiday_LR_180_rgba.mov"),
        ("webm-alpha", "holiday_LR_180_rgba.webm"),
        ("ffv1-alpha", "holiday_LR_180_rgba.mkv"),
        ("png", "holiday_LR_180_png"),
        ("exr", "holiday_LR_180_exr"),
        ("preview", "holiday_2D_preview.mp4"),
        ("confidence", "holiday_LR_180_confidence.mp4"),
        ("overlay", "holiday_2D_detections.mp4"),
    ],
)
def test_names(deliverable, name):
    assert name_of("holiday", deliverable) == name


def test_field_of_view_stands_in_the_name():
    assert name_of("a.b", "alpha-packed", 200) == "a.b_FISHEYE200_alpha.mp4"
    assert name_of("a", "matte", 180) == "a_FISHEYE180_matte.mp4"
    assert name_of("a", "png", 200, "mkx200") == "a_MKX200_png"


def test_a_lens_is_not_named_where_there_is_no_fisheye():
    assert name_of("a", "greenscreen", lens="rf52") == "a_LR_180_greenscreen.mp4"
    assert name_of("a", "greenscreen", 190, "rf52") == "a_RF52_greenscreen.mp4"


def test_every_file_of_a_run_has_a_name_of_its_own():
    names = [name_of("x", deliverable) for deliverable in ALL]
    for eye in EYES:
        names += [name_of("x", deliverable, eye=eye) for deliverable in NOT_PACKED]
    assert len({name.casefold() for name in names}) == len(names)
    refuse_shared_names(names, None)


def test_names_say_to_players_what_the_file_is():
    stem = strip_projection_tags("holiday_180x180_3dh_LR")
    packed = projection_from_name(name_of(stem, "alpha-packed").removesuffix(".mp4"))
    assert (packed.projection, packed.fov_deg, packed.alpha_packed) == ("fisheye", 190, True)
    plain = projection_from_name(name_of(stem, "greenscreen").removesuffix(".mp4"))
    assert (plain.projection, plain.stereo) == ("half_equirect", "side_by_side")


@pytest.mark.parametrize("deliverable", NOT_PACKED)
@pytest.mark.parametrize("fisheye_fov_deg", [None, 190])
def test_only_packed_files_look_packed(deliverable, fisheye_fov_deg):
    name = name_of("holiday", deliverable, fisheye_fov_deg)
    assert not projection_from_name(name.partition(".")[0]).alpha_packed


@pytest.mark.parametrize("deliverable", NOT_PACKED)
@pytest.mark.parametrize("fisheye_fov_deg", [None, 190])
@pytest.mark.parametrize("eye", EYES)
def test_one_eye_does_not_look_like_two(deliverable, fisheye_fov_deg, eye):
    """Some players look for these letters anywhere in a name, so no word of ours may hold them."""
    name = name_of("x", deliverable, fisheye_fov_deg, eye=eye)
    assert projection_from_name(name.partition(".")[0]).stereo is None
    assert not [tag for tag in ("lr", "rl", "sbs", "tb", "bt", "ou", "3d") if tag in name.lower()]


def test_names_of_separate_eyes():
    assert name_of("a", "matte", eye=Eye.LEFT) == "a_left_180_matte.mp4"
    assert name_of("a", "exr", eye=Eye.RIGHT) == "a_right_180_exr"
    fisheye = name_of("a", "prores4444", 200, eye=Eye.RIGHT)
    assert fisheye == "a_right_FISHEYE200_rgba.mov"


def test_xalpha_is_called_after_the_video_it_lies_over():
    name = name_of("clip", "xalpha", source_stem="clip_180x180_3dh", template="{stem}")
    assert name == "clip_180x180_3dh_XALPHA.mp4"


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{stem}_{kind}", "a_greenscreen.mp4"),
        ("{stem}.{eye}.{projection}.{tags}", "a.right.180.right_180.mp4"),
        ("{{{stem}}}-ü", "{a}-ü.mp4"),
    ],
)
def test_templates(template, name):
    assert name_of("a", "greenscreen", eye=Eye.RIGHT, template=template) == name


def test_templates_of_both_eyes_and_of_folders():
    assert name_of("a", "exr", template="{stem}_{eye}_{kind}") == "a_both_exr"
    assert name_of("a", "alpha-packed", template="{stem}_{tags}") == "a_FISHEYE190.mp4"


def test_the_plain_template_gives_the_plain_names():
    for name, kind in KINDS.items():
        if not kind.named_after_source:
            assert name_of("a", name, template="{stem}_{tags}_{kind}") == name_of("a", name)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{stem}_{fov}", "unknown field {fov}"),
        ("{stem}_{}", "unknown field {}"),
        ("{stem.__class__}", "unknown field {stem.__class__}"),
        ("{stem[0]}", "unknown field {stem[0]}"),
        ("{stem:>9}", "unknown field {stem}"),
        ("{stem!r}", "unknown field {stem}"),
        ("{stem:{kind}}", "unknown field {stem}"),
        ("{stem", "unmatched brace"),
        ("stem}", "unmatched brace"),
        ("out/{stem}", "has '/'"),
        ("..\\{stem}", "has '\\\\'"),
        ("{stem}:{kind}", "has ':'"),
        ("{stem}\n", "has '\\n'"),
        ("", "must not begin"),
        (".{stem}", "must not begin"),
        ("-{stem}", "must not begin"),
        ("{stem}.", "nor end with a dot"),
        ("{stem} ", "nor end with a dot"),
        ("{stem}" + "ü" * 125, "more than 250 bytes"),
    ],
)
def test_faulty_templates(template, expected):
    with pytest.raises(ConfigError) as caught:
        name_of("a", "matte", template=template)
    fault = str(caught.value)
    assert fault.startswith("output.name_template = ")
    assert expected in fault
    assert fault.endswith("plain text and {stem}, {eye}, {projection}, {kind}, {tags}")
    assert fault.isprintable()


@pytest.mark.parametrize("template", ["{stem}", "{stem}_{tags}"])
def test_two_files_of_one_name_are_refused(template):
    names = [name_of("a", d, template=template) for d in ("matte", "greenscreen")]
    with pytest.raises(ConfigError, match="two files the name"):
        refuse_shared_names(names, template)


def test_names_that_differ_in_case_only_are_one():
    with pytest.raises(ConfigError, match="two files the name"):
        refuse_shared_names(["A_matte.mp4", "a_MATTE.mp4"], "{stem}")
    refuse_shared_names(["a.mp4", "a.mkv"], "{stem}")
