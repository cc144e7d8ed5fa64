"""Base class of the sections of settings, and helpers for their keys."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def number_as_text(value: object) -> object:
    """Accept SVT-AV1's presets, which are numbers that nobody puts in quotes."""
    return str(value) if type(value) is int else value


def yaml_switch(value: object) -> object:
    """Accept the words on and off, which YAML reads as true and false."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


def deprecated(default: object, reason: str) -> Any:
    """Declare a key that is accepted, since files of the specification have it, but ignored."""
    return Field(default=default, description=reason, json_schema_extra={"deprecated": True})


class Section(BaseModel):
    """Base of the sections: unchangeable, without unknown keys, infinities or NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
