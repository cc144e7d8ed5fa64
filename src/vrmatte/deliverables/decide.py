"""Decides what each file to be made is: its name, view, size, encoder, colours, and their digest.

Plain values; no pictures are touched here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast, get_args

from vrmatte.compose.confidence import CONFIDENCE_VERSION
from vrmatte.compose.detection_overlay import overlay_size
from vrmatte.compose.preview import preview_size
from vrmatte.compose.view import SourceView
from vrmatte.deliverables.names import output_name, refuse_shared_names
from vrmatte.frames import EYES, YUV420P, YUV420P10, ColorTags, Eye, PixelLayout
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
from vrmatte.settings.config import Config, DeliverableName, LensName

STRAIGHT = frozenset({"prores4444", "webm-alpha", "ffv1-alpha", "png", "exr"})
"""Files with straight alpha beside the colours."""
SEQUENCES = frozenset({"png", "exr"})
_GREY = frozenset({"matte", "xalpha", "confidence"})
_MATTE_ALONE = frozenset({"matte", "xalpha", "matte-lossless"})
_SCREEN = frozenset({"preview", "overlay"})
"""Small pictures for a flat screen."""
_BOTH_EYES = frozenset({"alpha-packed", *_SCREEN})
"""What makes no sense with one eye."""
_SILENT = frozenset({"xalpha"})
"""Players take the sound of the video that an xalpha file lies beside."""

Parameters = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Deliverable:
    """One file to make, or one folder of pictures."""

    name: DeliverableName
    file_name: str
    eye: Eye | None
    """The one eye it holds; None: both, side by side."""
    size: tuple[int, int]
    """Width and height of its pictures."""
    shows: EyeProjection
    """What each eye's picture shows; packed files and previews are of their own kind."""
    encoder: EncoderSpec
    """Of video files; sequences have `sequence` instead."""
    sequence: SequenceSpec | None
    color: ColorTags
    """Tags of the file; a matte has the range of video and no primaries of its own."""
    is_matte_store: bool
    """Whether the file is joined from the matte store itself, with no encoding of its own."""
    parameters: Parameters
    """What shapes its pictures, besides the matte."""

    @property
    def id(self) -> str:
        """Its name among a run's files, e.g. "greenscreen" or "greenscreen-left"."""
        return self.name if self.eye is None else f"{self.name}-{self.eye.value}"

    @property
    def container(self) -> FileFormat:
        """Container of the finished file."""
        return self.encoder.container

    @property
    def label(self) -> str:
        """How it is written, for people."""
        if self.sequence is None:
            return self.encoder.label
        return f"{self.sequence.kind} {self.sequence.bits} bit"

    @property
    def carries_streams(self) -> bool:
        """Whether sound and text of the source go along."""
        return self.sequence is None and self.name not in _SILENT

    @property
    def takes_boxes(self) -> bool:
        """Whether boxes in the file may tell players that its pictures are half-equirectangular."""
        return (
            isinstance(self.shows, HalfEquirect)
            and self.name not in _BOTH_EYES
            and self.sequence is None
            and self.container in ("mp4", "mov")
        )

    @property
    def needs_picture(self) -> bool:
        """Whether the source's pictures are needed for it, and not the mattes alone."""
        return self.name not in _MATTE_ALONE

    @property
    def shows_findings(self) -> bool:
        """Whether who was found, and how surely, shapes its pictures."""
        return self.name in ("confidence", "overlay")

    @property
    def has_alpha(self) -> bool:
        """Whether pictures have straight alpha."""
        return self.name in STRAIGHT


def decide_deliverables(
    source: SourceInfo, time_base: Fraction, rate: Fraction, config: Config
) -> tuple[tuple[Deliverable, ...], tuple[str, ...]]:
    """All files of a run, and what the user should know about them.

    Raises:
        ConfigError: a file can't be made as asked, or two would have the same name.
    """
    notices: list[str] = []
    found: list[Deliverable] = []
    for name in config.deliverables:
        for eye in _eyes(name, config):
            choice = _encoder(name, _size(name, eye, source), source, rate, config)
            notices += choice.notices
            notices += _losses(name, choice.spec, source)
            found.append(_deliverable(name, eye, choice.spec, source, time_base, config))
    names = [source.path.name, *(d.file_name for d in found)]
    refuse_shared_names(names, config.output.name_template)
    return tuple(found), tuple(dict.fromkeys(notices))


def shown_projection(source: EyeProjection, config: Config) -> EyeProjection:
    """What the eyes of finished pictures show."""
    wanted = config.output.projection
    if wanted == "half_equirect":
        return HalfEquirect(source.size)
    if wanted == "fisheye" and isinstance(source, HalfEquirect):
        return Fisheye(source.size, config.output.fisheye_fov_deg)
    return source


def source_view(source: SourceInfo, config: Config) -> SourceView:
    """How frames come and how they are shown, for whoever composes pictures of them."""
    return SourceView(
        layout=source.layout,
        color=source.color,
        shows=source.eye_projection,
        to_show=shown_projection(source.eye_projection, config),
    )


def _eyes(name: DeliverableName, config: Config) -> tuple[Eye | None, ...]:
    return (None,) if config.output.maintain_sbs or name in _BOTH_EYES else EYES


def _deliverable(
    name: DeliverableName,
    eye: Eye | None,
    encoder: EncoderSpec,
    source: SourceInfo,
    time_base: Fraction,
    config: Config,
) -> Deliverable:
    shows = shown_projection(source.eye_projection, config)
    size = _size(name, eye, source)
    file_name = _file_name(name, eye, shows, source, config)
    color = _color(name, encoder, source.color)
    return Deliverable(
        name=name,
        file_name=file_name,
        eye=eye,
        size=size,
        shows=shows,
        encoder=encoder,
        sequence=_sequence(name, file_name, size, source, time_base),
        color=color,
        is_matte_store=name == "matte-lossless"
        and eye is None
        and shows == source.eye_projection
        and not any(config.output.edge.model_dump().values()),
        parameters=_picture_parameters(name, eye, shows, source, config),
    )


def _encoder(
    name: DeliverableName,
    size: tuple[int, int],
    source: SourceInfo,
    rate: Fraction,
    config: Config,
) -> EncoderChoice:
    depth = source.layout.bit_depth
    if name == "matte-lossless" or name in SEQUENCES:
        return EncoderChoice(MATTE_STORE)
    if name == "prores4444" or name == "webm-alpha" or name == "ffv1-alpha":
        return alpha_encoder(name, depth, *size, rate, config.output)
    if name in _SCREEN:
        return preview_encoder(rate)
    if name in _GREY:  # soft ramps are kept in 10 bit HEVC
        depth = 8 if config.output.codec == "h264" else YUV420P10.bit_depth
    return choose_encoder(config.output, *size, depth, rate)


def _losses(name: DeliverableName, encoder: EncoderSpec, source: SourceInfo) -> Iterator[str]:
    if name in _SCREEN and source.color.is_hdr:
        yield f"{name} shows HDR as a plain screen would: 8 bit, BT.709"
    if source.color.full_range and not encoder.holds_full_range:
        yield f"{name} has no word for full range: its codes are brought to video range"


def _size(name: DeliverableName, eye: Eye | None, source: SourceInfo) -> tuple[int, int]:
    if name == "preview":
        return preview_size(source.width, source.height)
    if name == "overlay":
        return overlay_size(source.width, source.height)
    return (source.width if eye is None else source.width // 2), source.height


def _file_name(
    name: DeliverableName,
    eye: Eye | None,
    shows: EyeProjection,
    source: SourceInfo,
    config: Config,
) -> str:
    is_fisheye = isinstance(shows, Fisheye)
    fov_deg = round(shows.fov_deg) if is_fisheye else 180
    same_view = shows == source.eye_projection and eye is None
    return output_name(
        strip_projection_tags(source.path.stem),
        name,
        config.output.alpha_packed.fov_deg if name == "alpha-packed" else fov_deg,
        eye=eye,
        projection="fisheye" if is_fisheye else "half_equirect",
        lens=None if name == "alpha-packed" else _lens(shows, source, config),
        source_stem=source.path.stem if same_view else None,
        template=config.output.name_template,
    )


def _lens(shows: EyeProjection, source: SourceInfo, config: Config) -> LensName | None:
    """The source's own lens, where its view is kept: players know it by that name."""
    told = config.input.lens
    lens = projection_from_name(source.path.stem).lens if told == "auto" else told
    if lens is None or lens not in get_args(LensName) or not isinstance(shows, Fisheye):
        return None
    same = shows == source.eye_projection and FISHEYE_FOV_DEG[lens] == shows.fov_deg
    return cast(LensName, lens) if same else None


def _sequence(
    name: DeliverableName,
    file_name: str,
    size: tuple[int, int],
    source: SourceInfo,
    time_base: Fraction,
) -> SequenceSpec | None:
    if name != "png" and name != "exr":
        return None
    bits = 8 if name == "png" and source.layout.bit_depth == 8 else 16
    return SequenceSpec(name, file_name, size, bits, source.color, time_base)


def _color(name: DeliverableName, encoder: EncoderSpec, source: ColorTags) -> ColorTags:
    if name == "matte-lossless":
        return ColorTags(full_range=True)
    if name in _GREY or name in _SCREEN:
        return ColorTags(primaries=1, transfer=1, matrix=1)
    return source if encoder.holds_full_range else replace(source, full_range=False)


def _picture_parameters(
    name: DeliverableName,
    eye: Eye | None,
    shows: EyeProjection,
    source: SourceInfo,
    config: Config,
) -> Parameters:
    """What shapes a file's pictures; keys stand here only where they differ from plain files'."""
    output = config.output
    parameters: dict[str, object] = {}
    if name == "alpha-packed":
        parameters |= output.alpha_packed.model_dump()
    elif isinstance(shows, Fisheye) or shows != source.eye_projection:
        parameters["shows"] = repr(shows)
    if name == "greenscreen":
        parameters["background_color"] = list(output.background_color)
    if estimates_foreground(name, config):
        parameters["foreground"] = _foreground(config)
    if name == "confidence":
        parameters["confidence"] = CONFIDENCE_VERSION
    elif any(output.edge.model_dump().values()):
        parameters["edge"] = output.edge.model_dump()
    if eye is not None:
        parameters["eye"] = eye.value
    return parameters


def _foreground(config: Config) -> Parameters:
    despill = config.output.foreground.despill
    if not despill:
        return {"despill": despill}
    return {"despill": despill, "hue": list(config.output.background_color)}


def estimates_foreground(name: DeliverableName, config: Config) -> bool:
    """Whether a file's soft edges get the people's own colours."""
    wanted = config.output.foreground.estimate
    if name == "greenscreen" or name in STRAIGHT:
        return wanted != "off"
    return name == "alpha-packed" and wanted == "on"


def picture_layout(deliverable: Deliverable, source: PixelLayout) -> PixelLayout:
    """Layout that a file's pictures are composed in.

    Sequences have the source's. Hardware encoders interleave chroma; their pictures are planar
    until they are encoded.
    """
    if deliverable.sequence is not None:
        return source
    if deliverable.has_alpha:
        return deliverable.encoder.layout
    return YUV420P if deliverable.encoder.layout.bit_depth == YUV420P.bit_depth else YUV420P10
