"""Every network file that vrmatte knows: its address, size, digest and licence.

A file is listed only if its SHA-256 is known, because nothing else makes a download trustworthy.
Digests are those that many public projects pin for the authors' own release files.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from vrmatte.errors import ConfigError

_YOLOX_RELEASE = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
_YOLOX_LICENCE = "https://github.com/Megvii-BaseDetection/YOLOX/blob/main/LICENSE"
_SAM2_LICENCE = "https://github.com/facebookresearch/sam2/blob/main/LICENSE"


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A registered network file."""

    name: str
    title: str
    url: str
    """Address of the file; for a packaged file, page of its publisher."""
    size_bytes: int
    sha256: str
    licence: str
    """SPDX identifier of the weights' own licence; vrmatte's licence doesn't cover them."""
    licence_url: str
    used_by: str
    is_packaged: bool = False
    """The file is installed together with vrmatte and never fetched."""


def _yolox(name: str, title: str, size_bytes: int, sha256: str) -> WeightsFile:
    url = f"{_YOLOX_RELEASE}/{name}"
    used_by = f"detection.model: {name.removesuffix('.onnx')}"
    return WeightsFile(name, title, url, size_bytes, sha256, "Apache-2.0", _YOLOX_LICENCE, used_by)


def _sam2(size: str, revision: str, size_bytes: int, sha256: str) -> WeightsFile:
    name = f"sam2.1_hiera_{size}"
    url = (
        f"https://huggingface.co/facebook/sam2.1-hiera-{size}/resolve/{revision}/model.safetensors"
    )
    return WeightsFile(
        f"{name}.safetensors",
        f"SAM 2.1 {size}, follows people from boxes",
        url,
        size_bytes,
        sha256,
        "Apache-2.0",
        _SAM2_LICENCE,
        f"matting.mask_model: {name}, with matting.engine: sam2",
    )


WEIGHTS: tuple[WeightsFile, ...] = (
    WeightsFile(
        "rvm_mobilenetv3_fp32.onnx",
        "Robust Video Matting, MobileNetV3",
        "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/"
        "rvm_mobilenetv3_fp32.onnx",
        14_975_696,
        "88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
        "GPL-3.0-only",
        "https://github.com/PeterL1n/RobustVideoMatting/blob/master/LICENSE",
        "matting.engine: rvm (the default)",
    ),
    _yolox(
        "yolox_nano.onnx",
        "YOLOX nano person detector",
        3_659_407,
        "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
    ),
    _yolox(
        "yolox_tiny.onnx",
        "YOLOX tiny person detector",
        20_219_662,
        "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7",
    ),
    _yolox(
        "yolox_s.onnx",
        "YOLOX s person detector",
        35_858_002,
        "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
    ),
    # The file of the mediapipe 0.10.21 wheel, modules/selfie_segmentation/.
    WeightsFile(
        "selfie_segmentation.tflite",
        "MediaPipe selfie segmentation, general",
        "https://pypi.org/project/mediapipe/0.10.21/",
        249_505,
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        "Apache-2.0",
        "https://github.com/google-ai-edge/mediapipe/blob/master/LICENSE",
        "matting.engine: selfie",
        is_packaged=True,
    ),
    _sam2(
        "tiny",
        "de431c4043854a71d8101e17995dfe596bf101a5",
        155_908_064,
        "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
    ),
    _sam2(
        "small",
        "ee5bba1d82bb8749febdf90f45e84b687142ba03",
        # Computed from the network's shapes; the same sum gives tiny and large to the byte.
        184_305_280,
        "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
    ),
    _sam2(
        "large",
        "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        897_897_416,
        "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
    ),
    WeightsFile(
        "vitmatte_small_composition_1k.safetensors",
        "ViTMatte small, refines the edges of masks; its training images have their own terms",
        "https://huggingface.co/hustvl/vitmatte-small-composition-1k/resolve/"
        "6a58ad7646403c1df626fbd746900aec7361ea1d/model.safetensors",
        103_294_572,
        "bda9289db1bb6762d978b42d1c62ae3f34daf7497171a347a1d09657efd788cb",
        "Apache-2.0",
        "https://huggingface.co/hustvl/vitmatte-small-composition-1k",
        "matting.refiner: vitmatte, with matting.engine: sam2",
    ),
)
"""All registered network files, the defaults of each kind first."""


def find_weights(name: str) -> WeightsFile:
    """Return the registry's entry for a file name.

    Raises:
        ConfigError: no such entry; the text names the nearest one and all that exist.
    """
    by_name = {file.name: file for file in WEIGHTS}
    if name in by_name:
        return by_name[name]
    near = get_close_matches(name, by_name, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(f"unknown weights {name!r}: {hint}Known are {', '.join(by_name)}")


def find_by_digest(sha256: str) -> WeightsFile | None:
    """Return the registry's entry with this SHA-256 (hexadecimal, lower case), or None."""
    return next((file for file in WEIGHTS if file.sha256 == sha256), None)
