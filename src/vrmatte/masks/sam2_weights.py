"""Location of a mask network's weights, determined before PyTorch is needed.

Searched in this order:

1. a folder or file the user names; 2. the folder VRMATTE_MODELS_DIR/NAME; 3. the registry's file,
like any other network: see `vrmatte.models.weights`.

Only safetensors files are opened, which hold numbers and no code.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vrmatte.errors import WeightsError
from vrmatte.masks.sam2_models import MaskModel, find_mask_model
from vrmatte.models.registry import find_weights
from vrmatte.models.weights import digest_of_weights, get_weights, locate_weights
from vrmatte.progress import Observer, ignore

WEIGHTS_FILE = "model.safetensors"
SETTINGS_FILE = "config.json"
_YES = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class MaskWeights:
    """The chosen network and weights, as plain values that travel to workers and reports."""

    model: str
    """Name in `MASK_MODELS`."""
    path: str
    """Of the safetensors file."""
    sha256: str
    licence: str
    verified: bool
    """True if the weights have the digest that vrmatte knows."""
    notices: tuple[str, ...] = ()
    """Messages for the user about this choice."""

    @property
    def weights_bytes(self) -> int:
        """Return the size of the file; 0 if it is gone, which is reported on opening."""
        try:
            return Path(self.path).stat().st_size
        except OSError:
            return 0


def choose_mask_weights(
    name: str, place: Path | None = None, observer: Observer = ignore
) -> MaskWeights:
    """Choose the weights of a network, downloading them if necessary.

    Args:
        name: one of `MASK_MODELS`.
        place: the user's folder with `model.safetensors` and `config.json`, or a safetensors file.
        observer: receives download progress.

    Raises:
        ConfigError: no such network.
        WeightsError: the weights are unavailable.
    """
    model = find_mask_model(name)
    own = place or _folder_of(model)
    if own is not None:
        return _of_user(model, own)
    if model.weights_file is None:
        raise WeightsError(f"{name} is not on this machine: {_how_to_get(model)}")
    if _hub_is_off() and locate_weights(model.weights_file) is None:
        raise WeightsError(
            f"{model.weights_file} is not on this machine and HF_HUB_OFFLINE forbids fetching it: "
            f"{_how_to_get(model)}"
        )
    found = get_weights(model.weights_file, observer)
    notices = () if found.notice is None else (found.notice,)
    return MaskWeights(name, str(found.path), found.sha256, model.licence, found.verified, notices)


def checked_file(weights: MaskWeights) -> Path:
    """Return the file of a choice, possibly made by another process.

    Raises:
        WeightsError: it is gone or was replaced.
    """
    path = Path(weights.path)
    if digest_of_weights(path) != weights.sha256:
        raise WeightsError(
            f"the weights {path} changed since this run began: put the former file back, or "
            "begin a new run"
        )
    return path


def _folder_of(model: MaskModel) -> Path | None:
    """Return the user's folder of this network, if there is one."""
    models = os.environ.get("VRMATTE_MODELS_DIR")
    folder = Path(models) / model.name if models else None
    return folder if folder is not None and folder.is_dir() else None


def _of_user(model: MaskModel, place: Path) -> MaskWeights:
    """Return the weights in the user's own folder or file."""
    path = place / WEIGHTS_FILE if place.is_dir() else place
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"{path} is no safetensors file, and no other kind is opened: {_how_to_get(model)}"
        )
    has_settings = (path.parent / SETTINGS_FILE).is_file()
    if model.backbone is None and not has_settings:
        raise WeightsError(
            f"{path.parent} lacks {SETTINGS_FILE}, without which {model.name} can't be opened: "
            f"{_how_to_get(model)}"
        )
    digest = digest_of_weights(path)
    known = None if model.weights_file is None else find_weights(model.weights_file).sha256
    notices = [f"weights licensed {model.licence}: see {model.licence_url}"]
    if digest != known:
        registered = "none is known" if known is None else f"the registered one is {known[:12]}…"
        notices.append(f"unverified weights: {path} has SHA-256 {digest[:12]}…, {registered}")
    return MaskWeights(
        model.name, str(path), digest, model.licence, digest == known, tuple(notices)
    )


def _how_to_get(model: MaskModel) -> str:
    return (
        f"put {SETTINGS_FILE} and {WEIGHTS_FILE} of huggingface.co/{model.repository} (licence "
        f"{model.licence}) into VRMATTE_MODELS_DIR/{model.name}"
    )


def _hub_is_off() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in _YES
