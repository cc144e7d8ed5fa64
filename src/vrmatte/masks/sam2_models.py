"""Catalogue of mask networks: shapes, licences and sources of their weights.

Everything here is known without PyTorch. A shape is listed only if the weights' own settings file
is not needed to open them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vrmatte.errors import ConfigError

_APACHE = "Apache-2.0"
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_SAM2_LICENCE = "https://github.com/facebookresearch/sam2/blob/main/LICENSE"

Shape = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MaskModel:
    """Facts about one network before its weights are opened."""

    name: str
    title: str
    family: str
    """Prefix of its classes in transformers: `FAMILYModel`, `FAMILYInferenceSession`."""
    licence: str
    licence_url: str
    repository: str
    """On the Hugging Face hub; only its `config.json` and `model.safetensors` are used."""
    mean: tuple[float, float, float] = _IMAGENET[0]
    spread: tuple[float, float, float] = _IMAGENET[1]
    """Divisor after the mean is subtracted from RGB 0..1."""
    weights_file: str | None = None
    """Name in the registry, if a digest is known; otherwise only the user's own folder is used."""
    backbone: Shape | None = None
    """Settings of its image encoder that differ from the class's defaults; None: unknown."""
    pyramid: Shape | None = None
    also_needs: tuple[str, ...] = ()
    """Packages beyond the extra."""


def _sam2(size: str, backbone: Shape, pyramid: Shape, *, registered: bool = True) -> MaskModel:
    name = f"sam2.1_hiera_{size}"
    return MaskModel(
        name=name,
        title=f"SAM 2.1 {size.replace('_plus', '+')}",
        family="Sam2Video",
        licence=_APACHE,
        licence_url=_SAM2_LICENCE,
        repository=f"facebook/sam2.1-hiera-{size.replace('_', '-')}",
        weights_file=f"{name}.safetensors" if registered else None,
        backbone=backbone,
        pyramid=pyramid,
    )


MASK_MODELS: dict[str, MaskModel] = {
    model.name: model
    for model in (
        _sam2("tiny", {}, {}),
        _sam2(
            "small",
            {"blocks_per_stage": [1, 2, 11, 2], "global_attention_blocks": [7, 10, 13]},
            {},
        ),
        _sam2(
            "base_plus",
            {
                "hidden_size": 112,
                "embed_dim_per_stage": [112, 224, 448, 896],
                "num_attention_heads_per_stage": [2, 4, 8, 16],
                "blocks_per_stage": [2, 3, 16, 3],
                "global_attention_blocks": [12, 16, 20],
                "window_positional_embedding_background_size": [14, 14],
            },
            {"backbone_channel_list": [896, 448, 224, 112]},
            registered=False,
        ),
        _sam2(
            "large",
            {
                "hidden_size": 144,
                "embed_dim_per_stage": [144, 288, 576, 1152],
                "num_attention_heads_per_stage": [2, 4, 8, 16],
                "blocks_per_stage": [2, 6, 36, 4],
                "global_attention_blocks": [23, 33, 43],
                "window_size_per_stage": [8, 4, 16, 8],
            },
            {"backbone_channel_list": [1152, 576, 288, 144]},
        ),
        MaskModel(
            name="edgetam",
            title="EdgeTAM",
            family="EdgeTamVideo",
            licence=_APACHE,
            licence_url="https://github.com/facebookresearch/EdgeTAM/blob/main/LICENSE",
            repository="yonigozlan/EdgeTAM-hf",
            also_needs=("timm",),
        ),
        MaskModel(
            name="sam3_tracker",
            title="SAM 3, its tracker",
            family="Sam3TrackerVideo",
            licence="SAM License (Meta, 19 November 2025)",
            licence_url="https://github.com/facebookresearch/sam3/blob/main/LICENSE",
            repository="facebook/sam3",
            mean=_HALF[0],
            spread=_HALF[1],
        ),
    )
}
"""By their names in `matting.mask_model`, the default first."""


def find_mask_model(name: str) -> MaskModel:
    """Return the network of a name.

    Raises:
        ConfigError: there is none; the message lists all.
    """
    if name not in MASK_MODELS:
        raise ConfigError(f"unknown mask model {name!r}: known are {', '.join(MASK_MODELS)}")
    return MASK_MODELS[name]
