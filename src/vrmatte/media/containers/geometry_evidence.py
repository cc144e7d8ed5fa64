"""Where the eyes lie in a frame and which projection they show, from the best evidence there is.

In this order: what the user says, spherical metadata, tags in the file name, the frame's shape.
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
Evidence = Literal["flag", "boxes", "name", "shape", "assumed"]

ASSUMED_FOV_DEG = 180.0
"""Of a fisheye whose field of view nothing tells: what a name tag without a number means."""

_STEREO_OF_BOX: dict[int, StereoName] = {
    0: "mono",
    1: "top_bottom",
    2: "side_by_side",
    4: "side_by_side",
}
_RIGHT_LEFT = 4
# FFmpeg's AVStereo3DType and AVSphericalProjection, as found in frame side data.
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
"""Upright and square frames smaller than this are taken for phone videos."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Layout and projection, each with the evidence for it."""

    stereo: StereoName
    stereo_evidence: Evidence
    eyes_swapped: bool
    projection: ProjectionName
    projection_evidence: Evidence
    fov_deg: float | None
    fov_evidence: Evidence
    """What the field of view was read from; that of the projection wherever it follows from it."""


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What spherical boxes or their equivalent in other containers say."""

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
) -> Geometry:
    """Weigh the evidence; `layout`, `projection` and `lens` are the user's word, or "auto".

    Raises:
        ConfigError: a lens with a projection that no lens makes.
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
    found, evidence = _projection(frame, metadata, name, projection, stereo, stereo_evidence)
    fov_deg, fov_evidence = {"half_equirect": 180.0, "equirect": 360.0}.get(found), evidence
    if found == "fisheye":
        fov_deg, fov_evidence = _fisheye_fov(name, lens)
    return Geometry(stereo, stereo_evidence, swapped, found, evidence, fov_deg, fov_evidence)


def _fisheye_fov(name: NameHint, lens: str) -> tuple[float, Evidence]:
    if lens != "auto":
        return float(FISHEYE_FOV_DEG[lens]), "flag"
    if name.fov_deg is not None:
        return name.fov_deg, "name"
    return ASSUMED_FOV_DEG, "assumed"


def _stereo(
    frame: VideoFrame, metadata: _Metadata, name: NameHint, layout: str
) -> tuple[StereoName, Evidence, bool]:
    if layout != "auto":
        return cast(StereoName, layout), "flag", False
    if metadata.stereo is not None:
        return metadata.stereo, "boxes", metadata.eyes_swapped
    if name.stereo is not None:
        return name.stereo, "name", name.eyes_swapped
    return _stereo_of_shape(frame.width, frame.height), "shape", False


def _stereo_of_shape(width: int, height: int) -> StereoName:
    """Two square eyes side by side; or above each other, square or (in 360 degrees) 2:1."""
    if width == 2 * height:
        return "side_by_side"
    if width >= _LEAST_VR_WIDTH_PX and height in (width, 2 * width):
        return "top_bottom"
    return "mono"


def _projection(
    frame: VideoFrame,
    metadata: _Metadata,
    name: NameHint,
    projection: str,
    stereo: StereoName,
    stereo_evidence: Evidence,
) -> tuple[ProjectionName, Evidence]:
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


def _from_boxes(boxes: SphericalBoxes) -> _Metadata:
    projection: ProjectionName | None = None
    if boxes.projection == "mshp":
        projection = "mesh"
    elif boxes.projection == "equi":
        projection = "half_equirect" if boxes.is_half_equirect else "equirect"
    stereo = None if boxes.stereo_mode is None else _STEREO_OF_BOX.get(boxes.stereo_mode)
    return _Metadata(stereo, boxes.stereo_mode == _RIGHT_LEFT, projection)


def _from_side_data(frame: VideoFrame) -> _Metadata:
    """The same from FFmpeg's view of the stream, for Matroska and Apple's own boxes."""
    stereo3d = _numbers(frame, SideDataType.STEREO3D)
    spherical = _numbers(frame, SideDataType.SPHERICAL)
    projection = _PROJECTION_OF_SIDE_DATA.get(spherical[0]) if spherical else None
    if spherical and spherical[0] == _TILED and len(spherical) > _BOUND_RIGHT:
        cut = spherical[_BOUND_LEFT] + spherical[_BOUND_RIGHT]
        projection = "half_equirect" if abs(cut / 2**32 - 0.5) < 0.01 else "equirect"
    stereo = _STEREO_OF_SIDE_DATA.get(stereo3d[0]) if stereo3d else None
    swapped = len(stereo3d) > 1 and bool(stereo3d[1] & _EYES_SWAPPED_FLAG)
    return _Metadata(stereo, swapped, projection)


def _numbers(frame: VideoFrame, kind: SideDataType) -> tuple[int, ...]:
    """The 32-bit fields of one side data structure, in order; empty where there is none."""
    data = cast(Mapping[SideDataType, SideData], frame.side_data).get(kind)
    return tuple(memoryview(bytes(data)).cast("I")) if data else ()
