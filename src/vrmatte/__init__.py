"""Turn VR180 stereo video of people into verified mattes.

    import vrmatte
    report = vrmatte.matte_video("clip_LR_180.mp4", "out")

Names are imported on first use, so `import vrmatte` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from vrmatte.commands.run import matte_video as matte_video
    from vrmatte.commands.verify import verify_output as verify_output
    from vrmatte.errors import ChunkError as ChunkError
    from vrmatte.errors import ConfigError as ConfigError
    from vrmatte.errors import DamagedInputError as DamagedInputError
    from vrmatte.errors import DiskFullError as DiskFullError
    from vrmatte.errors import InputError as InputError
    from vrmatte.errors import OutputError as OutputError
    from vrmatte.errors import OutputLockedError as OutputLockedError
    from vrmatte.errors import StalledError as StalledError
    from vrmatte.errors import StoppedError as StoppedError
    from vrmatte.errors import VerificationError as VerificationError
    from vrmatte.errors import VrmatteError as VrmatteError
    from vrmatte.errors import WeightsError as WeightsError
    from vrmatte.media.probe import SourceInfo as SourceInfo
    from vrmatte.media.probe import probe as probe
    from vrmatte.report.report import RunReport as RunReport
    from vrmatte.settings.config import Config as Config
    from vrmatte.settings.load import load_config as load_config

_PUBLIC_NAMES = {
    "commands.run": ("matte_video",),
    "commands.verify": ("verify_output",),
    "errors": (
        "ChunkError",
        "ConfigError",
        "DamagedInputError",
        "DiskFullError",
        "InputError",
        "OutputError",
        "OutputLockedError",
        "StalledError",
        "StoppedError",
        "VerificationError",
        "VrmatteError",
        "WeightsError",
    ),
    "media.probe": ("SourceInfo", "probe"),
    "report.report": ("RunReport",),
    "settings.config": ("Config",),
    "settings.load": ("load_config",),
}
"""Public names by module. Type checkers read the imports above; a test compares both."""
_HOMES = {name: module for module, names in _PUBLIC_NAMES.items() for name in names}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("vrmatte")
    if name not in _HOMES:
        raise AttributeError(f"module 'vrmatte' has no attribute {name!r}")
    return getattr(import_module(f"vrmatte.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
