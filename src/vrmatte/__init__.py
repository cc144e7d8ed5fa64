"""VR180 stereo video of people in, verified mattes out.

    import vrmatte
    report = vrmatte.matte_video("clip.mp4", "out")

Names are loaded on first use, so that `import vrmatte` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vrmatte.commands.run import matte_video
    from vrmatte.commands.verify import verify_output
    from vrmatte.errors import (
        ChunkError,
        ConfigError,
        DamagedInputError,
        DiskFullError,
        InputError,
        OutputError,
        OutputLockedError,
        StalledError,
        StoppedError,
        VerificationError,
        VrmatteError,
        WeightsError,
    )
    from vrmatte.media.probe import SourceInfo, probe
    from vrmatte.report.report import RunReport
    from vrmatte.settings.config import Config
    from vrmatte.settings.load import load_config

_HOMES = {
    "ChunkError": "errors",
    "Config": "settings.config",
    "ConfigError": "errors",
    "DamagedInputError": "errors",
    "DiskFullError": "errors",
    "InputError": "errors",
    "OutputError": "errors",
    "OutputLockedError": "errors",
    "RunReport": "report.report",
    "SourceInfo": "media.probe",
    "StalledError": "errors",
    "StoppedError": "errors",
    "VerificationError": "errors",
    "VrmatteError": "errors",
    "WeightsError": "errors",
    "load_config": "settings.load",
    "matte_video": "commands.run",
    "probe": "media.probe",
    "verify_output": "commands.verify",
}

__all__ = [
    "ChunkError",
    "Config",
    "ConfigError",
    "DamagedInputError",
    "DiskFullError",
    "InputError",
    "OutputError",
    "OutputLockedError",
    "RunReport",
    "SourceInfo",
    "StalledError",
    "StoppedError",
    "VerificationError",
    "VrmatteError",
    "WeightsError",
    "load_config",
    "matte_video",
    "probe",
    "verify_output",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'vrmatte' has no attribute {name!r}")
    return getattr(import_module(f"vrmatte.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
