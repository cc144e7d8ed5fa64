"""Settings of the files to write."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from vrmatte.deliverable_kinds import AlphaContainer, DeliverableName, EstimateForeground
from vrmatte.settings.section import Section, number_as_text, yaml_switch

Channel = Annotated[int, Field(ge=0, le=255)]


class AlphaPackedConfig(Section):
    """Passthrough files with the matte packed around the fisheye images."""

    fov_deg: Literal[180, 190, 200] = Field(
        default=190, description="field of view of the fisheye images, in degrees"
    )
    channel: Literal["grey", "red"] = Field(
        default="grey",
        description="colour of the packed matte; grey keeps edges sharper after 4:2:0 subsampling, "
        "and players read the red channel in both cases",
    )


class EdgeConfig(Section):
    """Edge of the matte in every file, in pixels of the output."""

    choke_px: float = Field(
        default=0,
        ge=-32,
        le=32,
        description="distance by which the edge moves inward; negative: outward",
    )
    feather_px: float = Field(
        default=0, ge=0, le=64, description="width over which the edge is blurred"
    )


class ForegroundConfig(Section):
    """Colours of pixels that mix a person with the background."""

    estimate: Annotated[EstimateForeground, BeforeValidator(yaml_switch)] = Field(
        default="auto",
        description="remove the old background's colour from soft edges; auto: in greenscreen and "
        "in files with straight alpha, but not in alpha-packed files",
    )
    despill: float = Field(
        default=0,
        ge=0,
        le=1,
        description="strength with which the green-screen's hue is removed from edges",
    )


class OutputConfig(Section):
    """Files to write and their encoding."""

    path: Path | None = Field(
        default=None, description="output directory; the option --out of the command line"
    )
    format: Literal["alpha", "greenscreen"] | None = Field(
        default=None,
        description="used if `output.deliver` is null. alpha: a file of kind `alpha_container`; "
        "greenscreen: a green-screen file; null: an alpha-packed file",
    )
    alpha_container: AlphaContainer = Field(
        default="prores4444", description="kind of file for `output.format: alpha`"
    )
    deliver: tuple[DeliverableName, ...] | None = Field(
        default=None, min_length=1, description="files to write"
    )
    name_template: str | None = Field(
        default=None,
        description="template of file names, with {stem}, {eye}, {projection}, {kind} and {tags}; "
        "null: names that players recognise",
    )
    overwrite: bool = Field(
        default=False,
        description="replace files that this job has not written, or that were changed since",
    )
    background_color: tuple[Channel, Channel, Channel] = Field(
        default=(0, 255, 0), description="colour of the green screen, RGB"
    )
    report: Literal["html", "json"] = Field(
        default="html",
        description="format of the report beside the files; html: a page and JSON",
    )
    maintain_sbs: bool = Field(
        default=True,
        description="write both eyes side by side into one file; false: one file for each eye",
    )
    projection: Literal["source", "half_equirect", "fisheye"] = Field(
        default="source",
        description="projection of the files; alpha-packed files are always fisheye",
    )
    fisheye_fov_deg: Literal[180, 190, 200] = Field(
        default=190,
        description="field of view of fisheye files, in degrees, if the source is "
        "half-equirectangular",
    )
    codec: Literal["auto", "h264", "hevc", "av1"] = Field(
        default="auto",
        description="video codec; auto: H.264 for 8 bits and at most 4096 pixels wide, else HEVC",
    )
    encoder: Literal["auto", "software", "nvenc", "qsv", "amf"] = Field(
        default="auto",
        description="encoder; auto: a hardware encoder that passes a test, else software",
    )
    quality: int | None = Field(
        default=None,
        ge=0,
        le=63,
        description="constant quality (CRF or CQ), lower is better; null: depends on the codec",
    )
    preset: Annotated[str, BeforeValidator(number_as_text)] | None = Field(
        default=None,
        description="name of the encoder's preset; null: depends on the codec",
    )
    prores_alpha_bits: Literal[8, 16] = Field(
        default=16, description="bits of the alpha channel in prores4444 files"
    )
    apple_boxes: bool = Field(
        default=False,
        description="also write Apple's metadata for immersive video (vexu, hfov) into mp4 and mov",
    )
    verify_alpha: bool = Field(
        default=True,
        description="unpack finished alpha-packed files and compare them with the matte",
    )
    alpha_packed: AlphaPackedConfig = AlphaPackedConfig()
    edge: EdgeConfig = EdgeConfig()
    foreground: ForegroundConfig = ForegroundConfig()
