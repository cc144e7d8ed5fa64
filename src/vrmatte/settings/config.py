"""All settings with their defaults; files, command line and docs derive from these models.

Keys of the original specification keep their names and load unchanged. `settings/load.py` reads and
merges files; `settings/notices.py` reports keys that have no effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from vrmatte.deliverable_kinds import DeliverableName
from vrmatte.settings.choices import (
    DetectorName,
    Device,
    EngineName,
    LensName,
    MaskModelName,
    OnDamage,
    StereoMode,
)
from vrmatte.settings.output_config import OutputConfig
from vrmatte.settings.section import Section, deprecated


class InputConfig(Section):
    """The source video and how to read it."""

    video_path: Path | None = Field(
        default=None, description="source video; the argument INPUT of the command line"
    )
    layout: Literal["auto", "side_by_side", "top_bottom", "mono"] = Field(
        default="auto",
        description="arrangement of the eyes in the frame; auto: read from the file's metadata, "
        "else its name, else its shape",
    )
    projection: Literal["auto", "half_equirect", "fisheye", "equirect", "flat", "mesh"] = Field(
        default="auto",
        description="projection of each eye; auto: read from the file's metadata, else its name, "
        "else its shape",
    )
    lens: Literal["auto"] | LensName = Field(
        default="auto",
        description="fisheye lens, under the name that players use; auto: read from the file's "
        "name. Any lens implies `input.projection: fisheye`",
    )
    start: float | None = Field(default=None, ge=0, description="time in seconds at which to start")
    end: float | None = Field(default=None, gt=0, description="time in seconds at which to stop")
    on_damage: OnDamage = Field(
        default="stop",
        description="handling of missing or corrupt frames. stop: refuse the video and report the "
        "damage; hold: repeat the last intact frame, so that frame count and times are kept; "
        "partial: process only the frames before the damage. hold and partial first decode the "
        "whole video once",
    )

    @model_validator(mode="after")
    def _end_after_start(self) -> InputConfig:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end ({self.end:g} s) must come after start ({self.start:g} s)")
        return self


class ProcessingConfig(Section):
    """Resolution, chunks, memory and time limits of the processing."""

    scale_factor: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = Field(
        default="auto",
        description="network resolution as a share of the source's, such as 0.25, 0.5 or 1.0; "
        "higher is finer and slower. auto: chosen for the size of each viewport; for whole eyes "
        "0.5, but at most 768 pixels per eye",
    )
    chunk_size: int = Field(default=0, ge=0, description="frames per chunk; 0: about four seconds")
    overlap_frames: int = Field(
        default=30,
        ge=0,
        description="frames before a chunk that the network sees first, if no saved state exists",
    )
    projection: Literal["viewport", "half_equirect", "fisheye", "stereographic"] = Field(
        default="viewport",
        description="input of the network. viewport: perspective views centred on each person; "
        "half_equirect, fisheye, stereographic: whole eyes in that projection, for comparison",
    )
    memory_pipeline: bool = deprecated(
        False, "frames always stream: a single float frame at half scale would take 54 MiB"
    )
    streaming_output: bool = deprecated(
        True, "chunks are always written as soon as they are finished, so that none is lost"
    )
    parallel_eyes: bool = Field(
        default=False, description="run both eyes in one network batch; the result is the same"
    )
    max_memory_gb: float | None = Field(
        default=None,
        gt=0,
        description="limit of RAM in GB. To stay below it, fewer steps run at the same time; a "
        "video that needs more even then is refused",
    )
    allow_smaller_scale: bool = Field(
        default=False,
        description="if memory runs out and nothing else helps, continue at a lower network "
        "resolution; the report lists the chunks concerned",
    )
    stall_minutes: float = Field(
        default=20,
        ge=0,
        description="minutes without progress, for example because an encoder hangs, after which "
        "the run ends with exit code 75; the same command continues it. 0: no limit",
    )


class DetectionConfig(Section):
    """Detection of people."""

    confidence_threshold: float = Field(
        default=0.7, ge=0, le=1, description="minimum score of the detector"
    )
    model: DetectorName = Field(default="yolox_nano", description="person detector")
    interval_frames: int = Field(
        default=30,
        ge=0,
        description="with `matting.engine: sam2`, minimum number of frames between two prompts of "
        "the mask network with a person's detected box; 0: only when the person appears",
    )


class PeopleConfig(Section):
    """The people to matte."""

    file: Path | None = Field(
        default=None,
        description="JSON file that lists the people; null: NAME_people.json in the output "
        "directory, which is written if missing and otherwise used unchanged",
    )
    viewer_body: Literal["keep", "exclude"] = Field(
        default="keep", description="keep or exclude the body of the person who wears the camera"
    )


class MattingConfig(Section):
    """Networks that produce the matte."""

    engine: EngineName = Field(
        default="auto",
        description="matting engine. auto: rvm, or selfie if the weights of rvm are not available; "
        "sam2: a second network tracks each person, who is matted within its masks (needs the "
        "extra sam2); brightness: bright pixels are people, for trials without weights",
    )
    mask_model: MaskModelName = Field(
        default="sam2.1_hiera_tiny",
        description="with `matting.engine: sam2`, network that tracks people",
    )
    refiner: Literal["rvm", "guided", "vitmatte"] = Field(
        default="rvm",
        description="with `matting.engine: sam2`, source of the soft edge. rvm: the matte of rvm, "
        "limited to the mask; guided: the colours of the image alone; vitmatte: ViTMatte along "
        "the edge (needs the extra sam2)",
    )
    use_disparity_mapping: bool = Field(
        default=True, description="compare the two eyes by disparity and make their mattes agree"
    )
    memory_offload: bool = Field(
        default=True,
        description="keep only the current viewport's recurrent state on the GPU, which saves "
        "memory",
    )
    fp16: bool = Field(
        default=True,
        description="run the network in half precision on devices that gain from it (CUDA, "
        "TensorRT, CoreML); its recurrent state stays in single precision",
    )


class HardwareConfig(Section):
    """Devices and limits for the networks."""

    device: Device = Field(
        default="auto",
        description="device on which networks run; auto: CUDA or DirectML if one works, else the "
        "CPU",
    )
    require_device: bool = Field(
        default=False,
        description="fail if `hardware.device` does not work, instead of using the CPU with a "
        "warning",
    )
    max_vram_gb: float | None = Field(
        default=None,
        gt=0,
        description="limit of GPU memory for each network, in GB (CUDA, TensorRT)",
    )
    threads: int = Field(
        default=0, ge=0, description="CPU threads for networks; 0: all physical cores"
    )


class AudioConfig(Section):
    """Audio tracks."""

    preserve_audio: bool = Field(
        default=True, description="copy every audio track without re-encoding"
    )
    verify_sync: bool = Field(
        default=True,
        description="compare the audio packets and durations of finished files with the source",
    )
    audio_codec: Literal["copy"] = deprecated("copy", "audio is always copied, never re-encoded")


class StereoConfig(Section):
    """Agreement of the two eyes' mattes."""

    consistency_mode: Literal["independent", "master_slave", "reference_eye", "joint"] = Field(
        default="joint",
        description="treatment of small differences between the eyes. joint: both mattes meet in "
        "the middle; reference_eye: one follows the other; independent: the eyes are not "
        "compared. master_slave is an older name of reference_eye",
    )
    warn_threshold: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="score of a person, 1 is best, below which a frame is reported",
    )
    validation_threshold: float = Field(
        default=0.90,
        ge=0,
        le=1,
        description="score of a person, below which the mattes are corrected",
    )
    correction_method: Literal["transfer", "reprocess", "ensemble"] = Field(
        default="ensemble",
        description="correction of frames below `stereo.validation_threshold`. transfer: one eye's "
        "matte of a person replaces the other's; reprocess: the frame is matted again without "
        "recurrent state first; ensemble: decided for each part of the person",
    )

    @property
    def mode(self) -> StereoMode:
        """`consistency_mode` under its current name; the key itself keeps the user's word."""
        return "reference_eye" if self.consistency_mode == "master_slave" else self.consistency_mode


class QualityConfig(Section):
    """Quality scores."""

    scores: bool = Field(
        default=True, description="compute quality scores that need no ground truth, for the report"
    )


class PerformanceConfig(Section):
    """Concurrency, profiling and intermediate files."""

    overlap: bool = Field(
        default=True,
        description="decode, matte and encode at the same time; false: one after another",
    )
    profile_enabled: bool = Field(
        default=False, description="measure the time of each stage for the report"
    )
    preserve_intermediates: bool = Field(
        default=False,
        description="keep the encoded chunks after joining; the mattes are always kept",
    )


class DebuggingConfig(Section):
    """Logs and checks."""

    log_intermediate_workflow: bool = Field(
        default=False, description="log every step of each chunk"
    )
    save_detection_visualization: bool = Field(
        default=False,
        description="save an image of detected people and their viewports beside NAME_people.json; "
        "the deliverable `overlay` shows them as a video",
    )
    frame_count_validation: bool = Field(
        default=True,
        description="decode finished files and compare every timestamp with the source",
    )


class Config(Section):
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
        """Files to write, without repeats, in the order requested."""
        if self.output.deliver is not None:
            return tuple(dict.fromkeys(self.output.deliver))
        if self.output.format == "alpha":
            return (self.output.alpha_container,)
        return ("alpha-packed",) if self.output.format is None else ("greenscreen",)
