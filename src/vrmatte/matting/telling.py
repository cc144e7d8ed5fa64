"""Tells an engine where people are in each view it is about to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vrmatte.matting.looking_back import LookingBack
from vrmatte.matting.prompts import PromptedEngine, Prompter
from vrmatte.matting.view_window import ViewWindow


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells what a prompter knows, and who was followed back to this frame."""

    engine: PromptedEngine
    prompter: Prompter
    back: LookingBack | None = None

    def __call__(self, index: int, windows: Mapping[str, ViewWindow], ending: str) -> None:
        """Tell of frame `index`; the engine knows views by their names and this ending."""
        earlier = {} if self.back is None else self.back.people(index, windows)
        for name, window in windows.items():
            told = self.prompter.told(index, window.picture, earlier.get(name))
            self.engine.tell(f"{name}{ending}", told)
