"""Detection of the layout of the eyes and their projection, from the best available evidence.

In this order: the user's setting, spherical metadata, tags in the file name, the frame's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame

from vrmatte.errors import ConfigError
from vrmatte.media.containers.spherical import SphericalBoxes
from vrmatte.media.naming import FISHEYE_FOV_DEG, NameHint, projection_from_name

StereoName = Literal["side_by_side", "top_bottom", "mono"]
ProjectionName = Literal["half_equirect", "fisheye", "equirect", "flat", "mesh"]
GeometryEvidence = Literal["flag", "boxes", "name", "shape", "assumed"]

_ASSUMED_FOV_DEG = 180.0
"""Field of view of a fisheye without evidence: the meaning of a name tag without a number."""

_STEREO_OF_BOX: dict[int, StereoName] = {
    0: "mono",
    1: "top_bottom",
    2: "side_by_side",
    4: "side_by_side",
}
_RIGHT_LEFT = 4
# FFmpeg's AVStereo3DType and AVSphericalProjection, as in the side data of frames.
_STEREO_OF_SIDE_DATA: dict[int, StereoName] = {0: "mono", 1: "side_by_side", 2: "top_bottom"}
_PROJECTION_OF_SIDE_DATA: dict[int, ProjectionName] = {
    0: "equirect",
    2: "equirect",
    3: "half_equirect",
    4: "flat",
    5: "fisheye",
}
_TILED = 2
_BOUND_LEFT, _BOUND_RIGHT = 4, 6
"""Positions in AVSphericalMapping."""
_EYES_SWAPPED_FLAG = 1
_LEAST_VR_WIDTH_PX = 2000
"""Portrait and square frames narrower than this are taken for phone videos."""


@dataclass(frozen=True, slots=True)
class FrameGeometry:
    """Layout and projection, each with the evidence for it."""

    stereo: StereoName
    stereo_evidence: GeometryEvidence
    eyes_swapped: bool
    projection: ProjectionName
    projection_evidence: GeometryEvidence
    fov_deg: float | None
    fov_evidence: GeometryEvidence
    """Evidence for the field of view; that for the projection where one implies the other."""


@dataclass(frozen=True, slots=True)
class _SphericalMetadata:
    """Content of spherical boxes or their equivalent in other containers."""

    stereo: StereoName | None = None
    eyes_swapped: bool = False
    projection: ProjectionName | None = None


def read_geometry(
    stem: str,
    frame: VideoFrame,
    boxes: SphericalBoxes | None,
    layout: str,
    projection: str,
    lens: str = "auto",
) -> FrameGeometry:
    """Choose the best evidence; `layout`, `projection` and `lens` are the user's, or "auto".

    Raises:
        ConfigError: a lens together with a projection other than fisheye.
    """
    if lens != "auto":
        if projection not in ("auto", "fisheye"):
            raise ConfigError(
                f"input.lens={lens} is a fisheye, but input.projection={projection}; leave one out"
            )
        projection = "fisheye"
    metadata = _from_boxes(boxes) if boxes else _from_side_data(frame)
    name = projection_from_name(stem)
    stereo, stereo_evidence, swapped = _stereo(frame, metadata, name, layout)
    shown, evidence = _projection(frame, metadata, name, projection, stereo, stereo_evidence)
    fov_deg, fov_evidence = {"half_equirect": 180.0, "equirect": 360.0}.get(shown), evidence
    if shown == "fisheye":
        fov_deg, fov_evidence = _fisheye_fov(name, lens)
    return FrameGeometry(stereo, stereo_evidence, swapped, shown, evidence, fov_deg, fov_evidence)


def _fisheye_fov(name: NameHint, lens: str) -> tuple[float, GeometryEvidence]:
    if lens != "auto":
        return float(FISHEYE_FOV_DEG[lens]), "flag"
    if name.fov_deg is not None:
        return name.fov_deg, "name"
    return _ASSUMED_FOV_DEG, "assumed"


def _stereo(
    frame: VideoFrame, metadata: _SphericalMetadata, name: NameHint, layout: str
) -> tuple[StereoName, GeometryEvidence, bool]:
    if layout != "auto":
        return cast(StereoName, layout), "flag", False
    if metadata.stereo is not None:
        return metadata.stereo, "boxes", metadata.eyes_swapped
    if name.stereo is not None:
        return name.stereo, "name", name.eyes_swapped
    return _stereo_of_shape(frame.width, frame.height), "shape", False


def _stereo_of_shape(width: int, height: int) -> StereoName:
    """Guess the layout: square eyes side by side; or one above the other, square or 2:1 (360)."""
    if width == 2 * height:
        return "side_by_side"
    if width >= _LEAST_VR_WIDTH_PX and height in (width, 2 * width):
        return "top_bottom"
    return "mono"


def _projection(
    frame: VideoFrame,
    metadata: _SphericalMetadata,
    name: NameHint,
    projection: str,
    stereo: StereoName,
    stereo_evidence: GeometryEvidence,
) -> tuple[ProjectionName, GeometryEvidence]:
    if projection != "auto":
        return cast(ProjectionName, projection), "flag"
    if metadata.projection is not None:
        return metadata.projection, "boxes"
    if name.projection is not None:
        return name.projection, "name"
    if stereo == "mono" and stereo_evidence == "shape":
        return "flat", "shape"
    width = frame.width // 2 if stereo == "side_by_side" else frame.width
    height = frame.height // 2 if stereo == "top_bottom" else frame.height
    if width == height:
        return "half_equirect", "shape"
    return ("equirect" if width == 2 * height else "flat"), "shape"


def _from_boxes(boxes: SphericalBoxes) -> _SphericalMetadata:
    projection: ProjectionName | None = None
    if boxes.projection == "mshp":
        projection = "mesh"
    elif boxes.projection == "equi":
        projection = "half_equirect" if boxes.is_half_equirect else "equirect"
    stereo = None if boxes.stereo_mode is None else _STEREO_OF_BOX.get(boxes.stereo_mode)
    return _SphericalMetadata(stereo, boxes.stereo_mode == _RIGHT_LEFT, projection)


def _from_side_data(frame: VideoFrame) -> _SphericalMetadata:
    """Read the equivalent from FFmpeg's side data, for Matroska and Apple's boxes."""
    stereo3d = _numbers(frame, SideDataType.STEREO3D)
    spherical = _numbers(frame, SideDataType.SPHERICAL)
    projection = _PROJECTION_OF_SIDE_DATA.get(spherical[0]) if spherical else None
    if spherical and spherical[0] == _TILED and len(spherical) > _BOUND_RIGHT:
        cut = spherical[_BOUND_LEFT] + spherical[_BOUND_RIGHT]
        projection = "half_equirect" if abs(cut / 2**32 - 0.5) < 0.01 else "equirect"
    stereo = _STEREO_OF_SIDE_DATA.get(stereo3d[0]) if stereo3d else None
    swapped = len(stereo3d) > 1 and bool(stereo3d[1] & _EYES_SWAPPED_FLAG)
    return _SphericalMetadata(stereo, swapped, projection)


def _numbers(frame: VideoFrame, kind: SideDataType) -> tuple[int, ...]:
    """Return the 32-bit fields of a side data structure, in order; empty if it is absent."""
    data = cast(Mapping[SideDataType, SideData], frame.side_data).get(kind)
    return tuple(memoryview(bytes(data)).cast("I")) if data else ()
