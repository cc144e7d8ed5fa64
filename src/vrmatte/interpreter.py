"""Python interpreters that vrmatte cannot run on; checked before anything else is imported."""

from __future__ import annotations

import re
import struct
import sys

from vrmatte.errors import ConfigError


def check_interpreter() -> None:
    """Refuse a Python that vrmatte cannot run on.

    Raises:
        ConfigError: it is a 32-bit build, or comes from the Microsoft Store.
    """
    fault = interpreter_fault(8 * struct.calcsize("P"), sys.base_prefix)
    if fault is not None:
        raise ConfigError(fault)


def interpreter_fault(pointer_bits: int, base_prefix: str) -> str | None:
    """Return the sentence for the user if vrmatte cannot run on an interpreter, or None.

    Args:
        pointer_bits: size of a pointer.
        base_prefix: `sys.base_prefix`, the same inside and outside a virtual environment.
    """
    if pointer_bits < 64:
        return (
            f"this Python is a {pointer_bits}-bit build, for which there is no ONNX Runtime, PyAV "
            "or OpenCV: install a 64-bit Python 3.11 to 3.13 from python.org"
        )
    # The Store's sandbox redirects the cache folder and hides installed libraries from the loader.
    if re.search(r"[\\/]WindowsApps[\\/]PythonSoftwareFoundation\.Python\.", base_prefix):
        return (
            "this Python comes from the Microsoft Store, which redirects the folders vrmatte "
            "writes to: install Python 3.11 to 3.13 from python.org, and make a new environment"
        )
    return None
