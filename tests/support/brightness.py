"""Settings of runs without networks: bright pixels are people, and eyes are matted whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vrmatte.settings.config import Config

_Tree = dict[str, dict[str, Any]]

BRIGHTNESS: _Tree = {
    "matting": {"engine": "brightness"},
    "processing": {"projection": "half_equirect"},
}
MATTES_ALONE: _Tree = {
    "matting": {"use_disparity_mapping": False},
    "quality": {"scores": False},
}
"""Without stereo agreement and scores, which take most of the time of a run on a tiny clip."""


def brightness_config(*trees: Mapping[str, Any]) -> Config:
    """Settings by section and key; later ones win."""
    return Config.model_validate(_merged(BRIGHTNESS, *trees))


def options(*trees: _Tree) -> list[str]:
    """The same settings for the command line."""
    return [
        word
        for section, keys in _merged(*trees).items()
        for key, value in keys.items()
        for word in ("--set", f"{section}.{key}={str(value).lower()}")
    ]


def _merged(*trees: Mapping[str, Any]) -> _Tree:
    merged: _Tree = {}
    for tree in trees:
        for section, keys in tree.items():
            merged.setdefault(section, {}).update(keys)
    return merged


BRIGHTNESS_OPTIONS = options(BRIGHTNESS)
QUICK_OPTIONS = options(BRIGHTNESS, MATTES_ALONE)
