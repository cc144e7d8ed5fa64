from __future__ import annotations

from typing import get_args

import pytest

from vrmatte.deliverables.names import output_name, refuse_shared_names
from vrmatte.errors import ConfigError
from vrmatte.frames import EYES, Eye
from vrmatte.media.naming import projection_from_name, strip_projection_tags
from vrmatte.settings.config import DeliverableName

ALL: tuple[DeliverableName, ...] = get_args(DeliverableName)


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
    assert output_name("holiday", deliverable, 190) == name


def test_field_of_view_stands_in_the_name():
    assert output_name("a.b", "alpha-packed", 200) == "a.b_FISHEYE200_alpha.mp4"
    assert output_name("a", "matte", 180, projection="fisheye") == "a_FISHEYE180_matte.mp4"
    assert output_name("a", "png", 180, projection="fisheye", lens="mkx200") == "a_MKX200_png"


def test_a_lens_is_not_named_where_there_is_no_fisheye():
    assert output_name("a", "greenscreen", lens="rf52") == "a_LR_180_greenscreen.mp4"
    assert output_name("a", "alpha-packed", lens="rf52") == "a_RF52_alpha.mp4"


def test_every_file_of_a_run_has_a_name_of_its_own():
    names = [output_name("x", deliverable) for deliverable in ALL]
    for eye in EYES:
        names += [output_name("x", d, eye=eye) for d in ALL if d != "alpha-packed"]
    assert len({name.casefold() for name in names}) == len(names)
    refuse_shared_names(names, None)


def test_names_say_to_players_what_the_file_is():
    stem = strip_projection_tags("holiday_180x180_3dh_LR")
    packed = projection_from_name(output_name(stem, "alpha-packed", 190).removesuffix(".mp4"))
    assert (packed.projection, packed.fov_deg, packed.alpha_packed) == ("fisheye", 190, True)
    plain = projection_from_name(output_name(stem, "greenscreen", 190).removesuffix(".mp4"))
    assert (plain.projection, plain.stereo) == ("half_equirect", "side_by_side")


@pytest.mark.parametrize("deliverable", [d for d in ALL if d != "alpha-packed"])
@pytest.mark.parametrize("projection", ["half_equirect", "fisheye"])
def test_only_packed_files_look_packed(deliverable, projection):
    name = output_name("holiday", deliverable, projection=projection)
    assert not projection_from_name(name.partition(".")[0]).alpha_packed


@pytest.mark.parametrize("deliverable", [d for d in ALL if d != "alpha-packed"])
@pytest.mark.parametrize("projection", ["half_equirect", "fisheye"])
@pytest.mark.parametrize("eye", EYES)
def test_one_eye_does_not_look_like_two(deliverable, projection, eye):
    """Some players look for these letters anywhere in a name, so no word of ours may hold them."""
    name = output_name("x", deliverable, eye=eye, projection=projection)
    assert projection_from_name(name.partition(".")[0]).stereo is None
    assert not [tag for tag in ("lr", "rl", "sbs", "tb", "bt", "ou", "3d") if tag in name.lower()]


def test_names_of_separate_eyes():
    assert output_name("a", "matte", eye=Eye.LEFT) == "a_left_180_matte.mp4"
    assert output_name("a", "exr", eye=Eye.RIGHT) == "a_right_180_exr"
    fisheye = output_name("a", "prores4444", 200, eye=Eye.RIGHT, projection="fisheye")
    assert fisheye == "a_right_FISHEYE200_rgba.mov"


def test_packed_frames_have_no_separate_eyes():
    with pytest.raises(ValueError, match="both eyes"):
        output_name("a", "alpha-packed", eye=Eye.LEFT)


def test_xalpha_is_called_after_the_video_it_lies_over():
    name = output_name("clip", "xalpha", source_stem="clip_180x180_3dh", template="{stem}")
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
    assert output_name("a", "greenscreen", eye=Eye.RIGHT, template=template) == name


def test_templates_of_both_eyes_and_of_folders():
    assert output_name("a", "exr", template="{stem}_{eye}_{kind}") == "a_both_exr"
    assert output_name("a", "alpha-packed", template="{stem}_{tags}") == "a_FISHEYE190.mp4"


def test_the_plain_template_gives_the_plain_names():
    for name in ALL:
        if name != "xalpha":
            assert output_name("a", name, template="{stem}_{tags}_{kind}") == output_name("a", name)


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
        ("{stem", "brace without its partner"),
        ("stem}", "brace without its partner"),
        ("out/{stem}", "has '/'"),
        ("..\\{stem}", "has '\\\\'"),
        ("{stem}:{kind}", "has ':'"),
        ("{stem}\n", "has '\\n'"),
        ("", "must begin"),
        (".{stem}", "must begin"),
        ("-{stem}", "must begin"),
        ("{stem}.", "end with no dot"),
        ("{stem} ", "end with no dot"),
        ("{stem}" + "ü" * 125, "more than 250 bytes"),
    ],
)
def test_faulty_templates(template, expected):
    with pytest.raises(ConfigError) as caught:
        output_name("a", "matte", template=template)
    fault = str(caught.value)
    assert fault.startswith("output.name_template = ")
    assert expected in fault
    assert fault.endswith("plain text and {stem}, {eye}, {projection}, {kind}, {tags}")
    assert fault.isprintable()


@pytest.mark.parametrize("template", ["{stem}", "{stem}_{tags}"])
def test_two_files_of_one_name_are_refused(template):
    names = [output_name("a", d, template=template) for d in ("matte", "greenscreen")]
    with pytest.raises(ConfigError, match="two files the name"):
        refuse_shared_names(names, template)


def test_names_that_differ_in_case_only_are_one():
    with pytest.raises(ConfigError, match="two files the name"):
        refuse_shared_names(["A_matte.mp4", "a_MATTE.mp4"], "{stem}")
    refuse_shared_names(["a.mp4", "a.mkv"], "{stem}")
