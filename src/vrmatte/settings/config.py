"""Every setting and its default, once. Files, command line and docs derive from these models.

Keys of the original specification keep their names and load unchanged. Reading and merging files
is `settings/load.py`'s work; what a key can't do on this machine is said by `settings/notices.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from vrmatte.deliverable_kinds import (
    AlphaContainer,
    DeliverableName,
    EstimateForeground,
)
from vrmatte.settings.choices import (
    DetectorName,
    Device,
    EngineName,
    LensName,
    MaskModelName,
    OnDamage,
    StereoMode,
)

Channel = Annotated[int, Field(ge=0, le=255)]


def _number_as_text(value: object) -> object:
    """SVT-AV1 names its presets by number, which nobody puts in quotes."""
    return str(value) if type(value) is int else value


def _yaml_switch(value: object) -> object:
    """YAML takes the words on and off for truth values."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputConfig(_Section):
    """Where the source is and how it is to be read."""

    video_path: Path | None = Field(
        default=None, description="the source video; the command line's INPUT"
    )
    layout: Literal["auto", "side_by_side", "top_bottom", "mono"] = Field(
        default="auto",
        description="how the eyes lie in the frame; auto: boxes, then name, then shape",
    )
    projection: Literal["auto", "half_equirect", "fisheye", "equirect", "flat", "mesh"] = Field(
        default="auto", description="projection of each eye; auto: boxes, then name, then shape"
    )
    lens: Literal["auto"] | LensName = Field(
        default="auto",
        description="which fisheye view the eyes hold, by the name players know; auto: from the "
        "file's name. Naming one means input.projection: fisheye",
    )
    start: float | None = Field(default=None, ge=0, description="first second to process")
    end: float | None = Field(default=None, gt=0, description="second to stop before")
    on_damage: OnDamage = Field(
        default="stop",
        description="what to do where frames are missing or corrupt. stop: refuse, saying where; "
        "hold: show the last whole frame in their place, so count and times stay; partial: make "
        "what comes before them. hold and partial decode the whole video once before the work",
    )

    @model_validator(mode="after")
    def _end_after_start(self) -> InputConfig:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end ({self.end:g} s) must come after start ({self.start:g} s)")
        return self


class ProcessingConfig(_Section):
    """How the work is cut up."""

    scale_factor: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        default="auto",
        description="network pixels per source pixel (the spec's 0.25, 0.5, 1.0); auto: by the "
        "size of each viewport; for whole eyes 0.5, but at most 768 network pixels across an eye",
    )
    chunk_size: int = Field(
        default=0, ge=0, description="frames per chunk; 0: about four seconds, chosen by vrmatte"
    )
    overlap_frames: int = Field(
        default=30,
        ge=0,
        description="warm-up frames before a chunk that starts without saved state",
    )
    projection: Literal["viewport", "half_equirect", "fisheye", "stereographic"] = Field(
        default="viewport",
        description="how people are shown to the network: through viewports centred on them, or "
        "whole eyes (for comparison)",
    )
    memory_pipeline: bool = Field(
        default=False, description="keep intermediates in memory (never needed)"
    )
    streaming_output: bool = Field(default=True, description="write finished chunks as they come")
    parallel_eyes: bool = Field(
        default=False, description="both eyes in one network batch; same result"
    )
    max_memory_gb: float | None = Field(
        default=None,
        gt=0,
        description="RAM the run may take: what is done at the same time becomes less before it is "
        "exceeded; what needs more even so is refused",
    )
    allow_smaller_scale: bool = Field(
        default=False,
        description="where memory runs out and nothing else helps, go on with a smaller network "
        "picture; the chunks made so are told in report and keys",
    )
    stall_minutes: float = Field(
        default=20,
        ge=0,
        description="the run ends itself with exit code 75 when nothing moves for so long, as an "
        "encoder that hangs; running again continues. 0: never",
    )


class DetectionConfig(_Section):
    """Finding people."""

    confidence_threshold: float = Field(default=0.7, ge=0, le=1, description="least detector score")
    model: DetectorName = Field(default="yolox_nano", description="person detector")
    interval_frames: int = Field(
        default=30,
        ge=0,
        description="with matting.engine: sam2, people are pointed at anew where they were found, "
        "after so many frames at least; 0: only when they appear",
    )


class PeopleConfig(_Section):
    """Who is matted."""

    file: Path | None = Field(
        default=None,
        description="the document of people; none: NAME_people.json in the output directory, made "
        "when missing, used as it is when there",
    )
    viewer_body: Literal["keep", "exclude"] = Field(
        default="keep", description="the body of whoever wears the camera"
    )


class MattingConfig(_Section):
    """Making the matte."""

    engine: EngineName = Field(
        default="auto",
        description="auto: rvm; selfie if its weights can't be had. sam2: people are followed by a "
        "network of their own and matted within its masks (extra sam2). brightness: for trials, "
        "bright pixels are people; needs no weights",
    )
    mask_model: MaskModelName = Field(
        default="sam2.1_hiera_tiny", description="with engine sam2: who follows people"
    )
    refiner: Literal["rvm", "guided", "vitmatte"] = Field(
        default="rvm",
        description="with engine sam2, what makes the soft edge: rvm's matte kept within the mask; "
        "the picture's colours alone; ViTMatte along the edge (extra sam2)",
    )
    use_disparity_mapping: bool = Field(default=True, description="let the eyes agree by disparity")
    memory_offload: bool = Field(
        default=True,
        description="keep on the GPU only what the view last looked through remembers",
    )
    fp16: bool = Field(
        default=True,
        description="half precision inside the network where the device gains from it (CUDA, "
        "TensorRT, CoreML); what it remembers between frames stays fp32",
    )


class AlphaPackedConfig(_Section):
    """Passthrough files with the matte packed around the fisheye pictures."""

    fov_deg: Literal[180, 190, 200] = Field(
        default=190, description="field of view of the full circle"
    )
    channel: Literal["grey", "red"] = Field(
        default="grey",
        description="grey keeps the edge better after 4:2:0; decoders read red either way",
    )


class EdgeConfig(_Section):
    """The matte's edge in every file made of it, in pixels of the output."""

    choke_px: float = Field(
        default=0, ge=-32, le=32, description="how far the edge moves inward; negative: outward"
    )
    feather_px: float = Field(
        default=0, ge=0, le=64, description="width over which the edge is softened"
    )


class ForegroundConfig(_Section):
    """Colours where a pixel shows both a person and what is behind."""

    estimate: Annotated[EstimateForeground, BeforeValidator(_yaml_switch)] = Field(
        default="auto",
        description="take the old background out of soft edges; auto: in greenscreen and files "
        "with straight alpha, while alpha-packed pictures stay as they are",
    )
    despill: float = Field(
        default=0,
        ge=0,
        le=1,
        description="how far colour of the green-screen's hue is taken out of edges",
    )


class OutputConfig(_Section):
    """What is written, and how."""

    path: Path | None = Field(
        default=None, description="output directory; the command line's --out"
    )
    format: Literal["alpha", "greenscreen"] | None = Field(
        default=None,
        description="used where `deliver` is not given; null: an alpha-packed file",
    )
    alpha_container: AlphaContainer = Field(
        default="prores4444", description="which file `format: alpha` means"
    )
    deliver: tuple[DeliverableName, ...] | None = Field(default=None, description="files to make")
    name_template: str | None = Field(
        default=None,
        description="file names, of {stem}, {eye}, {projection}, {kind} and {tags}; null: as "
        "players expect them",
    )
    background_color: tuple[Channel, Channel, Channel] = Field(
        default=(0, 255, 0), description="green-screen colour, RGB 0..255"
    )
    report: Literal["html", "json"] = Field(
        default="html",
        description="what tells of the run beside its files; html: a page to look at, and JSON",
    )
    maintain_sbs: bool = Field(
        default=True,
        description="keep both eyes side by side in one file; false: a file for each eye",
    )
    projection: Literal["source", "half_equirect", "fisheye"] = Field(
        default="source", description="projection of the files' pictures; alpha-packed is fisheye"
    )
    fisheye_fov_deg: Literal[180, 190, 200] = Field(
        default=190, description="field of view of fisheye pictures made from half-equirect ones"
    )
    codec: Literal["auto", "h264", "hevc", "av1"] = Field(
        default="auto", description="auto: H.264 up to 4096 wide in 8 bit, else HEVC"
    )
    encoder: Literal["auto", "software", "nvenc", "qsv", "amf"] = Field(
        default="auto", description="auto: a hardware encoder that proves itself, else software"
    )
    quality: int | None = Field(
        default=None,
        ge=0,
        le=63,
        description="constant quality (CRF/CQ), lower is better; none: per codec",
    )
    preset: Annotated[str, BeforeValidator(_number_as_text)] | None = Field(
        default=None, description="the encoder's own preset; none: per codec"
    )
    prores_alpha_bits: Literal[8, 16] = Field(default=16, description="depth of ProRes alpha")
    apple_boxes: bool = Field(
        default=False, description="also write Apple's spatial boxes (vexu, hfov) into mp4 and mov"
    )
    verify_alpha: bool = Field(
        default=True, description="unpack alpha-packed files and compare with the matte"
    )
    alpha_packed: AlphaPackedConfig = AlphaPackedConfig()
    edge: EdgeConfig = EdgeConfig()
    foreground: ForegroundConfig = ForegroundConfig()


class HardwareConfig(_Section):
    """Which machine parts are used."""

    device: Device = Field(default="auto", description="where networks run")
    require_device: bool = Field(
        default=False, description="fail where `device` is missing, don't warn"
    )
    max_vram_gb: float | None = Field(
        default=None, gt=0, description="GPU memory each network may take (CUDA, TensorRT)"
    )
    threads: int = Field(default=0, ge=0, description="CPU threads for networks; 0: all cores")


class AudioConfig(_Section):
    """Sound and other streams."""

    preserve_audio: bool = Field(
        default=True, description="copy every audio track packet for packet"
    )
    verify_sync: bool = Field(
        default=True, description="check packets and durations of finished files"
    )
    audio_codec: Literal["copy"] = Field(
        default="copy", description="audio is copied, never re-encoded"
    )


class StereoConfig(_Section):
    """Agreement of the eyes."""

    consistency_mode: Literal["independent", "master_slave", "reference_eye", "joint"] = Field(
        default="joint", description="who leads; master_slave is an older name of reference_eye"
    )
    warn_threshold: float = Field(
        default=0.95, ge=0, le=1, description="report frames whose agreement is below this"
    )
    validation_threshold: float = Field(
        default=0.90, ge=0, le=1, description="correct below this agreement"
    )
    correction_method: Literal["transfer", "reprocess", "ensemble"] = Field(
        default="ensemble", description="what is done to a pair of mattes below the threshold"
    )

    @property
    def mode(self) -> StereoMode:
        """`consistency_mode` under its one name; the key itself stays as the user wrote it."""
        return "reference_eye" if self.consistency_mode == "master_slave" else self.consistency_mode


class QualityConfig(_Section):
    """Knowing how good it is."""

    scores: bool = Field(
        default=True, description="score mattes without truth while they are made, for the report"
    )


class PerformanceConfig(_Section):
    """Measuring and keeping."""

    overlap: bool = Field(
        default=True,
        description="decode, matte and encode at the same time; false: one after the other",
    )
    profile_enabled: bool = Field(default=False, description="time per stage in the report")
    preserve_intermediates: bool = Field(
        default=False,
        description="keep the chunks of joined files (the matte store is always kept)",
    )


class DebuggingConfig(_Section):
    """Looking inside."""

    log_intermediate_workflow: bool = Field(
        default=False, description="each chunk's life in the log file"
    )
    save_detection_visualization: bool = Field(
        default=False,
        description="a picture of boxes and viewports beside people.json; as a video it is the "
        "deliverable `overlay`",
    )
    frame_count_validation: bool = Field(
        default=True,
        description="decode finished files and compare every frame time with the source",
    )


class Config(_Section):
    """All settings of a run.

    Example:
        >>> config = vrmatte.Config()
        >>> config.deliverables
        ('alpha-packed',)
        >>> config = vrmatte.Config.model_validate({"output": {"deliver": ["greenscreen"]}})
    """

    input: InputConfig = InputConfig()
    processing: ProcessingConfig = ProcessingConfig()
    detection: DetectionConfig = DetectionConfig()
    people: PeopleConfig = PeopleConfig()
    matting: MattingConfig = MattingConfig()
    output: OutputConfig = OutputConfig()
    hardware: HardwareConfig = HardwareConfig()
    audio: AudioConfig = AudioConfig()
    stereo: StereoConfig = StereoConfig()
    quality: QualityConfig = QualityConfig()
    performance: PerformanceConfig = PerformanceConfig()
    debugging: DebuggingConfig = DebuggingConfig()

    @property
    def deliverables(self) -> tuple[DeliverableName, ...]:
        """The files to make, without repeats, in the order asked for."""
        if self.output.deliver is not None:
            return tuple(dict.fromkeys(self.output.deliver))
        if self.output.format == "alpha":
            return (self.output.alpha_container,)
        return ("alpha-packed",) if self.output.format is None else ("greenscreen",)
