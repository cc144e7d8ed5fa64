"""ViTMatte: a network that draws the edge of whom a trimap shows. PyTorch's home for it is here.

Code MIT, weights Apache-2.0. It mattes single pictures of any size and remembers nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vrmatte.errors import ConfigError, WeightsError
from vrmatte.frames import FloatArray
from vrmatte.models.devices import cpu_threads
from vrmatte.settings.config import HardwareConfig

VITMATTE_WEIGHTS = "vitmatte_small_composition_1k.safetensors"
_MULTIPLE = 32


class VitMatte:
    """A network ready to run."""

    name = "vitmatte"

    def __init__(self, model: Any, provider: str = "PyTorch on the CPU") -> None:
        """Take a `VitMatteForImageMatting` that stands where it shall run."""
        self.provider = provider
        self._model = model.eval()

    def __call__(self, pictures: FloatArray, trimaps: FloatArray) -> FloatArray:
        """Alpha of pictures (n, 3, h, w), RGB 0..1, by trimaps (n, h, w) of 0, 0.5 and 1."""
        import torch  # pyright: ignore[reportMissingImports]

        height, width = trimaps.shape[1:]
        blob = np.concatenate([pictures * 2 - 1, trimaps[:, None]], axis=1)
        missing = [(0, -length % _MULTIPLE) for length in (height, width)]
        blob = np.pad(blob, [(0, 0), (0, 0), *missing], mode="edge")
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(blob)).to(self._model.device)
            alphas = self._model(pixel_values=given).alphas[:, 0].float().cpu().numpy()
        return np.ascontiguousarray(alphas[:, :height, :width])


def open_vitmatte(weights: bytes, hardware: HardwareConfig) -> VitMatte:
    """The small network, trained on Composition-1k.

    Args:
        weights: content of its safetensors file.
        hardware: where it shall run.

    Raises:
        ConfigError: PyTorch or transformers is missing; the text says what to install.
        WeightsError: the weights are of another network.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
        import transformers  # pyright: ignore[reportMissingImports]
        from safetensors import SafetensorError  # pyright: ignore[reportMissingImports]
        from safetensors.torch import load  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            f"matting.refiner: vitmatte needs PyTorch and transformers, which can't be imported "
            f"({error}): install vrmatte[sam2]"
        ) from error
    torch.set_num_threads(cpu_threads(hardware.threads))
    classes: Any = transformers  # which types its settings too narrowly
    model = classes.VitMatteForImageMatting(_small(classes))
    try:
        model.load_state_dict(load(weights))
    except (RuntimeError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise WeightsError(f"{VITMATTE_WEIGHTS} can't be opened as ViTMatte: {first}") from error
    if hardware.device in ("auto", "cuda", "tensorrt") and torch.cuda.is_available():
        return VitMatte(model.to("cuda"), "PyTorch on the GPU")
    return VitMatte(model)


def _small(classes: Any) -> Any:
    """Settings of the small network."""
    backbone = classes.VitDetConfig(
        num_channels=4,
        image_size=512,
        pretrain_image_size=224,
        patch_size=16,
        hidden_size=384,
        num_attention_heads=6,
        use_absolute_position_embeddings=True,
        use_relative_position_embeddings=True,
        window_size=14,
        window_block_indices=[0, 1, 3, 4, 6, 7, 9, 10],
        residual_block_indices=[2, 5, 8, 11],
        out_features=["stage12"],
    )
    return classes.VitMatteConfig(
        backbone_config=backbone,
        hidden_size=384,
        convstream_hidden_sizes=[48, 96, 192],
        fusion_hidden_sizes=[256, 128, 64, 32],  # as a tuple, the default can't be added to
    )
