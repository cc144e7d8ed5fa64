"""Which files a run makes, and which of them a changed setting makes anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.media.media_fixtures import PQ, people_picture, write_clip
from support.media.rgba_images import paint_rgba
from vrmatte.compose.composer import RECIPES, ComposerInputs, eye_of
from vrmatte.compose.view import Preparation
from vrmatte.deliverable_kinds import KINDS
from vrmatte.deliverables.decide import Deliverable, decide_deliverables
from vrmatte.frames import YUV420P10, PixelLayout, PlanarFrame, StraightFrame, Timeline
from vrmatte.geometry.projection import Fisheye
from vrmatte.jobs.finish import product_key
from vrmatte.matting.engines.brightness import BRIGHTNESS
from vrmatte.media.decode import read_frames
from vrmatte.media.probe import SourceInfo, probe
from vrmatte.media.scan import scan_timeline
from vrmatte.plan import Plan, make_plan
from vrmatte.settings.config import Config
from vrmatte.settings.keys import KEYS
from vrmatte.subjects import WHOLE_EYES

ALL = tuple(KINDS)
EYE = 128
COLOURED = {"greenscreen", "prores4444", "webm-alpha", "ffv1-alpha", "png", "exr"}
"""Files whose soft edges get the people's own colours."""
LOSSY = {"matte", "xalpha", "confidence", "alpha-packed", "greenscreen"}
"""Files of the encoders that settings choose."""
BOXED = {"matte", "xalpha", "confidence", "greenscreen", "prores4444"}
SPLIT = set(ALL) - {"alpha-packed", "preview", "overlay"}
NOTHING: set[str] = set()


@dataclass(frozen=True)
class Scene:
    """A source, its first frame and a matte of it."""

    source: SourceInfo
    timeline: Timeline
    frame: PlanarFrame
    matte: np.ndarray


def scene_of(path: Path, **how: Any) -> Scene:
    source = probe(path, **how)
    timeline = scan_timeline(source, lambda _: None)
    (frame,) = read_frames(source, timeline, 0, 1)
    bright = frame.y.astype(float) - np.median(frame.y)
    return Scene(source, timeline, frame, np.clip(bright * 2.5, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    path = tmp_path_factory.mktemp("choice") / "clip_LR_180.mp4"
    write_clip(path, size=(2 * EYE, EYE), frames=4, draw=people_picture, audio=("aac",))
    return scene_of(path)


@pytest.fixture(scope="module")
def fisheye_scene(tmp_path_factory) -> Scene:
    path = tmp_path_factory.mktemp("choice") / "clip_MKX200.mp4"
    write_clip(path, size=(2 * EYE, EYE), frames=4, draw=people_picture)
    return scene_of(path)


def config_of(settings: Mapping[str, Any]) -> Config:
    tree: dict[str, Any] = {"output": {"encoder": "software", "deliver": ALL}}
    for key, value in settings.items():
        *path, name = key.split(".")
        section = tree
        for part in path:
            section = section.setdefault(part, {})
        section[name] = value
    return Config.model_validate(tree)


def plan_of(scene: Scene, settings: Mapping[str, Any]) -> Plan:
    config = config_of(settings)
    return make_plan(scene.source, "f" * 64, scene.timeline, WHOLE_EYES, BRIGHTNESS, config)


def keys_of(plan: Plan) -> dict[str, str]:
    mattes = ["m"] * len(plan.chunks)
    return {d.id: product_key(plan, d, mattes) for d in plan.deliverables}


def substance(scene: Scene, plan: Plan) -> dict[str, tuple[Any, ...]]:
    """All that shapes each file: its pictures, made anew, and how they are written."""
    prepared = Preparation(plan.source_view, plan.config)(scene.frame, scene.matte)
    found: dict[str, tuple[Any, ...]] = {}
    for deliverable in plan.deliverables:
        inputs = ComposerInputs(
            plan.config,
            plan.source_view,
            deliverable.layout,
            deliverable.color,
            deliverable.estimates_foreground,
        )
        composer = RECIPES[deliverable.name].build(inputs)
        picture = eye_of(composer(prepared), deliverable.eye)
        boxes = deliverable.takes_boxes and plan.config.output.apple_boxes
        written = (
            deliverable.file_name,
            deliverable.encoder,
            deliverable.sequence,
            deliverable.color,
            deliverable.kind.carries_streams and plan.config.audio.preserve_audio,
            boxes,
        )
        found[deliverable.id] = (content(picture, deliverable), *written)
    return found


def content(picture: Any, deliverable: Deliverable) -> bytes:
    if isinstance(picture, np.ndarray):
        return picture.tobytes()
    if isinstance(picture, StraightFrame):
        if deliverable.sequence is not None:
            return paint_rgba(picture, deliverable.sequence.light).tobytes()
        planes = *content_planes(picture.picture), picture.alpha
        return b"".join(plane.tobytes() for plane in planes)
    return b"".join(plane.tobytes() for plane in content_planes(picture))


def content_planes(frame: PlanarFrame) -> tuple[np.ndarray, ...]:
    return frame.y, frame.u, frame.v


PACKED = {"alpha-packed"}
REMADE: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    # before, after, which files are made anew (others are kept, or there are none)
    ({}, {"output.path": "elsewhere"}, NOTHING),
    ({}, {"output.format": "greenscreen"}, NOTHING),
    ({}, {"output.alpha_container": "exr"}, NOTHING),
    ({}, {"output.verify_alpha": False}, NOTHING),
    ({}, {"output.name_template": "{kind}_{stem}_{tags}"}, set(ALL) - {"xalpha"}),
    ({}, {"output.background_color": (0, 0, 255)}, {"greenscreen"}),
    (
        {"output.foreground.despill": 1},
        {"output.foreground.despill": 1, "output.background_color": (255, 0, 0)},
        COLOURED,
    ),
    (
        {"output.foreground.despill": 1, "output.foreground.estimate": "on"},
        {
            "output.foreground.despill": 1,
            "output.foreground.estimate": "on",
            "output.background_color": (255, 0, 0),
        },
        COLOURED | PACKED,
    ),
    ({}, {"output.foreground.despill": 0.5}, COLOURED),
    ({}, {"output.foreground.estimate": "off"}, COLOURED),
    ({}, {"output.foreground.estimate": "on"}, PACKED),
    ({}, {"output.maintain_sbs": False}, {f"{n}-{e}" for n in SPLIT for e in ("left", "right")}),
    ({}, {"output.projection": "fisheye"}, set(ALL) - PACKED),
    ({}, {"output.projection": "half_equirect"}, NOTHING),
    ({}, {"output.fisheye_fov_deg": 200}, NOTHING),
    (
        {"output.projection": "fisheye"},
        {"output.projection": "fisheye", "output.fisheye_fov_deg": 200},
        set(ALL) - PACKED,
    ),
    ({}, {"output.codec": "hevc"}, PACKED | {"greenscreen"}),
    ({}, {"output.codec": "h264"}, {"matte", "xalpha", "confidence"}),
    ({}, {"output.encoder": "auto"}, NOTHING),
    ({}, {"output.quality": 30}, LOSSY | {"webm-alpha"}),
    ({}, {"output.preset": "medium"}, LOSSY),
    ({}, {"output.overwrite": True}, NOTHING),
    ({}, {"output.prores_alpha_bits": 8}, {"prores4444"}),
    ({}, {"output.apple_boxes": True}, BOXED),
    (
        {"output.projection": "fisheye"},
        {"output.projection": "fisheye", "output.apple_boxes": True},
        NOTHING,
    ),
    ({}, {"output.alpha_packed.fov_deg": 200}, PACKED),
    ({}, {"output.alpha_packed.channel": "red"}, PACKED),
    ({}, {"output.edge.choke_px": 1.5}, set(ALL) - {"confidence"}),
    ({}, {"output.edge.feather_px": 3}, set(ALL) - {"confidence"}),
    ({}, {"output.deliver": ("matte",)}, NOTHING),
    ({}, {"output.report": "json"}, NOTHING),
    ({}, {"audio.preserve_audio": False}, set(ALL) - {"png", "exr", "xalpha"}),
]


@pytest.mark.parametrize(("before", "after", "remade"), REMADE)
def test_a_setting_makes_anew_what_it_shapes_and_nothing_else(scene, before, after, remade):
    plans = plan_of(scene, before), plan_of(scene, after)
    old, new = (keys_of(plan) for plan in plans)
    assert {name for name in new if new[name] != old.get(name)} == remade
    # The keys are no better than the table: what is kept must be the very same.
    were, are = (substance(scene, plan) for plan in plans)
    assert {name for name in are if are[name] != were.get(name)} == remade


def test_the_table_has_every_key_of_output():
    tested = {key for before, after, _ in REMADE for key in (*before, *after)}
    assert {key for key in KEYS if key.startswith("output.")} <= tested


def test_mattes_hang_on_no_key_of_output(scene):
    for before, after, _ in REMADE:
        plans = [plan_of(scene, settings) for settings in (before, after)]
        assert plans[0].matte_parameters() == plans[1].matte_parameters()


def test_a_fisheye_source_keeps_its_lens_in_names(fisheye_scene):
    found = {d.id: d for d in plan_of(fisheye_scene, {}).deliverables}
    assert found["matte"].file_name == "clip_MKX200_matte.mp4"
    assert found["xalpha"].file_name == "clip_MKX200_XALPHA.mp4"
    assert found["alpha-packed"].file_name == "clip_FISHEYE190_alpha.mp4"
    assert found["matte-lossless"].is_matte_store
    assert not any(d.takes_boxes for d in found.values())


@pytest.mark.parametrize(
    ("settings", "tag"),
    [
        ({"output.projection": "fisheye"}, "MKX200"),  # it is one; nothing is resampled
        ({"output.projection": "half_equirect"}, "LR_180"),
        ({"input.lens": "vrca220"}, "VRCA220"),
        ({"input.lens": "fisheye190"}, "FISHEYE190"),
    ],
)
def test_names_tell_what_is_shown(fisheye_scene, settings, tag):
    lens = settings.get("input.lens", "auto")
    scene = replace(fisheye_scene, source=probe(fisheye_scene.source.path, lens=lens))
    found = {d.id: d for d in plan_of(scene, settings).deliverables}
    assert found["greenscreen"].file_name == f"clip_{tag}_greenscreen.mp4"
    assert found["matte-lossless"].is_matte_store == (tag != "LR_180")
    assert found["greenscreen"].takes_boxes == (tag == "LR_180")


def test_a_lens_of_another_field_of_view_is_not_named(scene):
    found = plan_of(scene, {"output.projection": "fisheye"}).deliverables
    assert isinstance(found[0].projection, Fisheye)
    assert found[0].file_name == "clip_FISHEYE190_matte.mp4"


@pytest.mark.parametrize("eyes_together", [True, False])
def test_each_file_is_judged_by_its_own_width(scene, eyes_together):
    """H.264 ends at 4096 across: an eye of a wider source still fits."""
    wide = replace(scene.source, width=5760, height=2880)
    config = config_of({"output.deliver": ("greenscreen",), "output.maintain_sbs": eyes_together})
    files, _ = decide_deliverables(wide, wide.time_base, Fraction(30), config)
    assert {d.encoder.encoder for d in files} == {"libx265" if eyes_together else "libx264"}


def test_losses_are_told(scene):
    full = replace(PQ, full_range=True)
    source = replace(scene.source, color=full, layout=YUV420P10)
    _, told = decide_deliverables(source, source.time_base, Fraction(30), config_of({}))
    assert len([text for text in told if text.startswith("preview is 8-bit BT.709")]) == 1
    assert len([text for text in told if "converted to video range" in text]) == 1
    assert len([text for text in told if text.startswith("webm-alpha stores 8 bits only")]) == 1


@pytest.mark.parametrize("name", ["nv12", "p010le"])
def test_pictures_are_planar_whatever_the_encoder_wants(scene, name):
    (matte,) = plan_of(scene, {"output.deliver": ("matte",)}).deliverables
    depth = 8 if name == "nv12" else 10
    encoder = replace(matte.encoder, layout=PixelLayout(name, depth, 1, 1))
    layout = encoder.planar_layout
    assert (layout.name, layout.bit_depth) == ("yuv420p" if depth == 8 else "yuv420p10le", depth)
