"""Stereo scenes of the demo generator with all that is known about them exactly.

People are flat cards, so a person's disparity is that of an upright plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from vrmatte.demo.figure import Appearance
from vrmatte.demo.scene import DemoPerson, Scene, StereoPicture, render_pair
from vrmatte.frames import EYES, YUV420P, ColorTags, Eye, PlanarFrame
from vrmatte.geometry.projection import Cassini, HalfEquirect
from vrmatte.geometry.remap import resample, sampling_grid

_BLUE = Appearance(hair=(0.1, 0.1, 0.1), hair_length_m=0.02, shirt=(0.25, 0.38, 0.52), seed=5)
_GREY = Appearance(
    hair=(0.55, 0.42, 0.22), shirt=(0.62, 0.60, 0.55), trousers=(0.2, 0.2, 0.2), seed=9
)

SCENES = {
    "one": Scene(people=(DemoPerson(z_m=1.5),)),
    "crossing": Scene(
        people=(DemoPerson(x_m=-0.1, z_m=0.9), DemoPerson(x_m=0.32, z_m=1.7, look=_BLUE)), seed=1
    ),
    "several": Scene(
        people=(
            DemoPerson(x_m=-0.15, z_m=0.93),
            DemoPerson(x_m=0.45, z_m=1.7, look=_BLUE, phase_seconds=0.3),
            DemoPerson(x_m=-1.0, z_m=2.1, look=_GREY, phase_seconds=0.6),
        ),
        seed=2,
    ),
    "near and far": Scene(
        people=(
            DemoPerson(x_m=0.2, z_m=0.55, look=_GREY),
            DemoPerson(x_m=-0.35, z_m=1.2, phase_seconds=0.4),
            DemoPerson(x_m=-1.75, z_m=3.0, look=_BLUE),
        ),
        seed=3,
    ),
    # Beside the near one's outline each eye sees parts of the others that are hidden to the other.
    "half hidden": Scene(
        people=(
            DemoPerson(z_m=0.6),
            DemoPerson(x_m=0.9, z_m=2.2, look=_BLUE, phase_seconds=0.3),
            DemoPerson(x_m=-0.75, z_m=2.2, look=_GREY, phase_seconds=0.6),
        ),
        seed=5,
    ),
    "walking": Scene(
        people=(
            DemoPerson(x_m=-0.45, z_m=1.0, x_speed_m_s=0.3),
            DemoPerson(x_m=0.85, z_m=1.4, x_speed_m_s=-0.2, look=_BLUE, phase_seconds=0.3),
        ),
        seed=4,
    ),
}


@dataclass(frozen=True)
class StereoTruth:
    """One frame of a scene, as half-equirectangular eyes."""

    scene: Scene
    picture: StereoPicture

    @property
    def eye_px(self) -> int:
        return self.picture.alpha.shape[1]

    @property
    def people(self) -> range:
        return range(len(self.scene.people))

    @property
    def frame(self) -> PlanarFrame:
        """Both eyes side by side; what stereo looks at is the luma."""
        return grey_frame(*(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) for rgb in self.picture.rgb))

    @property
    def mattes(self) -> np.ndarray:
        """Alpha 0..255 of everybody, both eyes side by side."""
        return self.picture.alpha_side_by_side()

    def matte(self, eye: Eye, person: int | None = None) -> np.ndarray:
        """Alpha 0..255 of everybody, or of one person as if alone."""
        index = EYES.index(eye)
        alpha = self.picture.alpha if person is None else self.picture.person_alpha[person]
        return np.rint(alpha[index] * 255).astype(np.uint8)

    def share(self, eye: Eye, person: int) -> np.ndarray:
        """Alpha 0..255 of what can be seen of a person behind those who are nearer."""
        index, depths = EYES.index(eye), self.picture.depth_m
        alpha = self.picture.person_alpha[:, index]
        nearer = [1 - alpha[n] for n in self.people if depths[n] < depths[person]]
        seen = alpha[person] * np.prod(nearer, axis=0) if nearer else alpha[person]
        return np.rint(seen * 255).astype(np.uint8)

    def disparity(self, eye: Eye, person: int, size: int) -> np.ndarray:
        """Exact disparity of a person's card all over the Cassini picture."""
        centres = np.arange(size) + 0.5
        exact = Cassini(size).disparity_px(
            centres[None],
            centres[:, None],
            self.picture.depth_m[person],
            self.scene.baseline_m,
            from_left=eye is Eye.LEFT,
        )
        return exact.astype(np.float32)


@lru_cache(maxsize=32)
def stereo_truth(name: str, eye_px: int, frame: int = 7) -> StereoTruth:
    """A frame of one of `SCENES`."""
    return StereoTruth(SCENES[name], render_pair(SCENES[name], eye_px, frame))


def grey_frame(left: np.ndarray, right: np.ndarray) -> PlanarFrame:
    """A frame of two grey eyes."""
    luma = np.concatenate([left, right], axis=1)
    chroma = np.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, np.uint8)
    return PlanarFrame(luma, chroma, chroma, YUV420P, ColorTags())


def shrunk(plane: np.ndarray, size: int) -> np.ndarray:
    if plane.shape[0] == size:
        return plane
    return np.asarray(cv2.resize(plane, (size, size), interpolation=cv2.INTER_AREA))


def in_cassini(plane: np.ndarray, size: int) -> np.ndarray:
    return resample(plane, sampling_grid(Cassini(size), HalfEquirect(plane.shape[0])))


def in_equirect(plane: np.ndarray, size: int) -> np.ndarray:
    return resample(plane, sampling_grid(HalfEquirect(size), Cassini(plane.shape[0])))


def band_of(truth: np.ndarray) -> np.ndarray:
    """Pixels with 0.02 < alpha < 0.98, widened by 4 px."""
    soft = ((truth > 5) & (truth < 250)).astype(np.uint8)
    return cv2.dilate(soft, np.ones((9, 9), np.uint8)) > 0


def band_mad(matte: np.ndarray, truth: np.ndarray) -> float:
    """Mean error 0..1 in the edge band."""
    return float(cv2.absdiff(matte, truth)[band_of(truth)].mean()) / 255


def iou(matte: np.ndarray, truth: np.ndarray) -> float:
    """Of both masks at a half."""
    ours, theirs = matte > 127, truth > 127
    return float((ours & theirs).sum() / (ours | theirs).sum())


def texture(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Something to match everywhere, about 0..255."""
    noise = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return 128 + 35 * smooth / smooth.std()


def moved(picture: np.ndarray, columns: float, rows: float = 0.0) -> np.ndarray:
    """Everything so much to the right and down."""
    matrix = np.array([[1, 0, columns], [0, 1, rows]], np.float32)
    return cv2.warpAffine(
        picture, matrix, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
