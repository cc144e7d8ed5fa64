"""Decisions about each file of a run: name, view, size, encoder and colours.

These are plain values; no image is touched here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast, get_args

from pydantic import BaseModel

from vrmatte.compose.composer import RECIPES
from vrmatte.compose.view import SourceView
from vrmatte.deliverable_kinds import DeliverableKind, DeliverableName, Encoding, View, kinds_of
from vrmatte.deliverables.names import output_name, refuse_shared_names, view_tag
from vrmatte.frames import EYES, YUV420P10, ColorTags, Eye, PixelLayout
from vrmatte.geometry.projection import EyeProjection, Fisheye, HalfEquirect
from vrmatte.media.encoders import (
    MATTE_STORE,
    EncoderChoice,
    EncoderSpec,
    FileFormat,
    alpha_encoder,
    choose_encoder,
    preview_encoder,
)
from vrmatte.media.naming import (
    FISHEYE_FOV_DEG,
    projection_from_name,
    strip_projection_tags,
)
from vrmatte.media.probe import SourceInfo
from vrmatte.media.sequences.sequence import SequenceSpec
from vrmatte.settings.config import Config, LensName

Parameters = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Deliverable:
    """One file to write, or one folder of images."""

    kind: DeliverableKind
    file_name: str
    eye: Eye | None
    """The only eye in the file; None: both, side by side."""
    size: tuple[int, int]
    """Width and height of the images."""
    projection: EyeProjection
    """Projection of each eye, where the kind shows `View.EYES`."""
    encoder: EncoderSpec
    """Encoder of a video file; image sequences have `sequence` instead."""
    sequence: SequenceSpec | None
    layout: PixelLayout
    """Layout that images are composed in."""
    color: ColorTags
    """Tags of the file; a matte has video range and no primaries of its own."""
    is_matte_store: bool
    """True: the file is joined from the matte store, without another encoding."""
    estimates_foreground: bool
    """True: soft edges get the people's own colours."""
    parameters: Parameters
    """Everything besides the matte that shapes the images."""

    @property
    def name(self) -> DeliverableName:
        """Name of the deliverable."""
        return self.kind.name

    @property
    def id(self) -> str:
        """Name among the files of a run, such as "greenscreen" or "greenscreen-left"."""
        return self.name if self.eye is None else f"{self.name}-{self.eye.value}"

    @property
    def container(self) -> FileFormat:
        """Container of the finished file."""
        return self.encoder.container

    @property
    def label(self) -> str:
        """Short description of the encoding, for reports."""
        if self.sequence is None:
            return self.encoder.label
        return f"{self.sequence.kind} {self.sequence.bits} bit"

    @property
    def takes_boxes(self) -> bool:
        """True if spherical boxes in the file describe its eyes as half-equirectangular."""
        return self.kind.can_hold_boxes and isinstance(self.projection, HalfEquirect)


def decide_deliverables(
    source: SourceInfo, time_base: Fraction, rate: Fraction, config: Config
) -> tuple[tuple[Deliverable, ...], tuple[str, ...]]:
    """Return all files of a run, and notices for the user.

    Raises:
        ConfigError: a file can't be made as requested, or two files would have the same name.
    """
    notices: list[str] = []
    deliverables: list[Deliverable] = []
    for kind in kinds_of(config.deliverables):
        apart = not (config.output.maintain_sbs or kind.keeps_both_eyes)
        for eye in EYES if apart else (None,):
            choice = _encoder(kind, _size(kind, eye, source), source, rate, config)
            notices += choice.notices
            notices += _losses(kind, choice.spec, source)
            deliverables.append(_deliverable(kind, eye, choice.spec, source, time_base, config))
    names = [source.path.name, *(d.file_name for d in deliverables)]
    refuse_shared_names(names, config.output.name_template)
    return tuple(deliverables), tuple(dict.fromkeys(notices))


def source_view(source: SourceInfo, config: Config) -> SourceView:
    """Return the view of source frames, and of the images composed from them."""
    return SourceView(
        layout=source.layout,
        color=source.color,
        source=source.eye_projection,
        target=_target_projection(source.eye_projection, config),
    )


def _target_projection(source: EyeProjection, config: Config) -> EyeProjection:
    wanted = config.output.projection
    if wanted == "half_equirect":
        return HalfEquirect(source.size)
    if wanted == "fisheye" and isinstance(source, HalfEquirect):
        return Fisheye(source.size, config.output.fisheye_fov_deg)
    return source


def _deliverable(
    kind: DeliverableKind,
    eye: Eye | None,
    encoder: EncoderSpec,
    source: SourceInfo,
    time_base: Fraction,
    config: Config,
) -> Deliverable:
    projection = _target_projection(source.eye_projection, config)
    size = _size(kind, eye, source)
    file_name = _file_name(kind, eye, projection, source, config)
    return Deliverable(
        kind=kind,
        file_name=file_name,
        eye=eye,
        size=size,
        projection=projection,
        encoder=encoder,
        sequence=_sequence(kind, file_name, size, source, time_base),
        layout=source.layout if kind.is_sequence else encoder.planar_layout,
        color=_color(kind, encoder, source.color),
        is_matte_store=kind.encoding is Encoding.MATTE_STORE
        and eye is None
        and projection == source.eye_projection
        and not _changes_edge(config),
        estimates_foreground=config.output.foreground.estimate in kind.foreground,
        parameters=_image_parameters(kind, eye, projection, source, config),
    )


def _changes_edge(config: Config) -> bool:
    return any(config.output.edge.model_dump().values())


def _encoder(
    kind: DeliverableKind,
    size: tuple[int, int],
    source: SourceInfo,
    rate: Fraction,
    config: Config,
) -> EncoderChoice:
    depth = source.layout.bit_depth
    if kind.encoding is Encoding.MATTE_STORE or kind.is_sequence:
        return EncoderChoice(MATTE_STORE)
    if kind.has_alpha:
        return alpha_encoder(kind.name, depth, *size, rate, config.output)
    if kind.encoding is Encoding.SCREEN:
        return preview_encoder(rate)
    if kind.encoding is Encoding.GREY:  # HEVC keeps soft ramps in 10 bits
        depth = 8 if config.output.codec == "h264" else YUV420P10.bit_depth
    return choose_encoder(config.output, *size, depth, rate)


def _losses(kind: DeliverableKind, encoder: EncoderSpec, source: SourceInfo) -> Iterator[str]:
    if kind.encoding is Encoding.SCREEN and source.color.is_hdr:
        yield f"{kind.name} is 8-bit BT.709: HDR is converted to what an SDR screen shows"
    if source.color.full_range and not encoder.holds_full_range:
        yield f"{kind.name} can't be tagged as full range: it is converted to video range"


def _size(kind: DeliverableKind, eye: Eye | None, source: SourceInfo) -> tuple[int, int]:
    width, height = RECIPES[kind.name].size(source.width, source.height)
    return (width if eye is None else width // 2), height


def _file_name(
    kind: DeliverableKind,
    eye: Eye | None,
    projection: EyeProjection,
    source: SourceInfo,
    config: Config,
) -> str:
    overlays_source = projection == source.eye_projection and eye is None
    if kind.view is View.PACKED:
        view = view_tag(kind, config.output.alpha_packed.fov_deg)
    elif isinstance(projection, Fisheye):
        view = view_tag(kind, round(projection.fov_deg), _lens(projection, source, config))
    else:
        view = view_tag(kind)
    return output_name(
        strip_projection_tags(source.path.stem),
        kind,
        view,
        eye=eye,
        source_stem=source.path.stem if overlays_source else None,
        template=config.output.name_template,
    )


def _lens(projection: Fisheye, source: SourceInfo, config: Config) -> LensName | None:
    """Return the lens of the source if its projection is kept: players know it by that name."""
    setting = config.input.lens
    lens = projection_from_name(source.path.stem).lens if setting == "auto" else setting
    if lens is None or lens not in get_args(LensName):
        return None
    kept = projection == source.eye_projection and FISHEYE_FOV_DEG[lens] == projection.fov_deg
    return cast(LensName, lens) if kept else None


def _sequence(
    kind: DeliverableKind,
    file_name: str,
    size: tuple[int, int],
    source: SourceInfo,
    time_base: Fraction,
) -> SequenceSpec | None:
    if kind.encoding is Encoding.PNG:
        bits = 8 if source.layout.bit_depth == 8 else 16
        return SequenceSpec("png", file_name, size, bits, source.color, time_base)
    if kind.encoding is Encoding.EXR:
        return SequenceSpec("exr", file_name, size, 16, source.color, time_base)
    return None


def _color(kind: DeliverableKind, encoder: EncoderSpec, source: ColorTags) -> ColorTags:
    if kind.encoding is Encoding.MATTE_STORE:
        return ColorTags(full_range=True)
    if kind.encoding in (Encoding.GREY, Encoding.SCREEN):
        return ColorTags(primaries=1, transfer=1, matrix=1)
    return source if encoder.holds_full_range else replace(source, full_range=False)


def _image_parameters(
    kind: DeliverableKind,
    eye: Eye | None,
    projection: EyeProjection,
    source: SourceInfo,
    config: Config,
) -> Parameters:
    """Return everything besides the matte that shapes a file's images.

    Defaults are left out, so that a new setting does not change the keys of existing files.
    """
    output = config.output
    parameters: dict[str, object] = {}
    for name in kind.settings:
        value = getattr(output, name)
        parameters |= value.model_dump() if isinstance(value, BaseModel) else {name: value}
    is_default = projection == source.eye_projection and not isinstance(projection, Fisheye)
    if kind.view is not View.PACKED and not is_default:
        parameters["shows"] = repr(projection)
    if output.foreground.estimate in kind.foreground:
        parameters["foreground"] = _foreground(config)
    if kind.version:
        parameters[kind.name] = kind.version
    if kind.follows_edge and _changes_edge(config):
        parameters["edge"] = output.edge.model_dump()
    if eye is not None:
        parameters["eye"] = eye.value
    return parameters


def _foreground(config: Config) -> Parameters:
    despill = config.output.foreground.despill
    if not despill:
        return {"despill": despill}
    return {"despill": despill, "hue": list(config.output.background_color)}
