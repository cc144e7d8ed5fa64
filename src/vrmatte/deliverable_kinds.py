"""The table of deliverables: one row for each, with every property that sets it apart.

A new deliverable takes a name in `DeliverableName`, a row here, and a composer in
`compose/composer.py`. All other code asks for properties, never for names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

DeliverableName = Literal[
    "matte",
    "matte-lossless",
    "xalpha",
    "alpha-packed",
    "greenscreen",
    "prores4444",
    "webm-alpha",
    "ffv1-alpha",
    "png",
    "exr",
    "preview",
    "confidence",
    "overlay",
]
AlphaContainer = Literal["prores4444", "webm-alpha", "ffv1-alpha", "png", "exr", "alpha-packed"]
"""Deliverables that `output.format = alpha` can mean."""
EstimateForeground = Literal["auto", "on", "off"]
"""Values of `output.foreground.estimate`."""


class View(Enum):
    """Content of the images of a deliverable."""

    EYES = "eyes"
    """One or both eyes, full size, in the projection of `output.projection`."""
    PACKED = "packed"
    """Both eyes as fisheye circles, with their mattes in discs around them."""
    SCREEN = "screen"
    """A small image of both eyes for a flat screen."""


class Encoding(Enum):
    """Encoding of the images of a deliverable."""

    COLOUR = "colour"
    """Video in the codec of `output.codec`, with the bit depth of the source."""
    GREY = "grey"
    """The same codec for grey images, in 10 bits unless it is H.264."""
    MATTE_STORE = "matte store"
    """Lossless grey video, as mattes are stored."""
    PRORES = "prores"
    VP9 = "vp9"
    FFV1 = "ffv1"
    """Video with straight alpha, as the two above."""
    PNG = "png"
    EXR = "exr"
    """An image file with straight alpha for each frame, as the one above."""
    SCREEN = "screen"
    """8-bit H.264 in BT.709, which plays everywhere."""


_SEQUENCES = (Encoding.PNG, Encoding.EXR)
_STRAIGHT_ALPHA = (Encoding.PRORES, Encoding.VP9, Encoding.FFV1, *_SEQUENCES)


@dataclass(frozen=True, slots=True)
class DeliverableKind:
    """Properties of one deliverable."""

    name: DeliverableName
    name_word: str
    """The `{kind}` of file names. It must not contain letters that players search names for:
    "overlay" contains "rl" (right eye left), and "alpha" means alpha-packed."""
    suffix: str
    """Suffix of the file name; empty for a folder of images."""
    encoding: Encoding
    view: View = View.EYES
    needs_frames: bool = True
    """False: images are composed from the matte alone."""
    has_audio: bool = True
    """False: players take the audio of another video, which this file lies beside."""
    foreground: tuple[EstimateForeground, ...] = ()
    """Values of `output.foreground.estimate` that give soft edges the people's own colours."""
    settings: tuple[str, ...] = ()
    """Keys or sections of `output` that shape the images of this deliverable only."""
    shows_subjects: bool = False
    """True: people, their scores or viewports shape the images."""
    follows_edge: bool = True
    """False: the images describe the stored matte, whatever `output.edge` says."""
    named_after_source: bool = False
    """True: players find the file by the full name of the source, so no template applies."""
    version: int = 0
    """Raised whenever the same mattes and settings would give other images; 0: never so far."""

    @property
    def has_alpha(self) -> bool:
        """True if images have straight alpha."""
        return self.encoding in _STRAIGHT_ALPHA

    @property
    def is_sequence(self) -> bool:
        """True for a folder of images."""
        return self.encoding in _SEQUENCES

    @property
    def keeps_both_eyes(self) -> bool:
        """True if the file holds both eyes even where each eye gets a file."""
        return self.view is not View.EYES

    @property
    def carries_streams(self) -> bool:
        """True if audio, subtitles and chapters of the source are copied to the file."""
        return self.has_audio and not self.is_sequence

    @property
    def can_hold_boxes(self) -> bool:
        """True if spherical boxes can describe the file where its eyes are half-equirectangular."""
        return self.view is View.EYES and self.suffix in (".mp4", ".mov")


_ALWAYS: tuple[EstimateForeground, ...] = ("auto", "on")

KINDS: dict[DeliverableName, DeliverableKind] = {
    kind.name: kind
    for kind in (
        DeliverableKind("matte", "matte", ".mp4", Encoding.GREY, needs_frames=False),
        DeliverableKind(
            "matte-lossless", "matte", ".mkv", Encoding.MATTE_STORE, needs_frames=False
        ),
        DeliverableKind(
            *("xalpha", "XALPHA", ".mp4", Encoding.GREY),
            needs_frames=False,
            has_audio=False,
            named_after_source=True,
        ),
        DeliverableKind(
            *("alpha-packed", "alpha", ".mp4", Encoding.COLOUR, View.PACKED),
            foreground=("on",),
            settings=("alpha_packed",),
        ),
        DeliverableKind(
            *("greenscreen", "greenscreen", ".mp4", Encoding.COLOUR),
            foreground=_ALWAYS,
            settings=("background_color",),
        ),
        DeliverableKind("prores4444", "rgba", ".mov", Encoding.PRORES, foreground=_ALWAYS),
        DeliverableKind("webm-alpha", "rgba", ".webm", Encoding.VP9, foreground=_ALWAYS),
        DeliverableKind("ffv1-alpha", "rgba", ".mkv", Encoding.FFV1, foreground=_ALWAYS),
        DeliverableKind("png", "png", "", Encoding.PNG, foreground=_ALWAYS),
        DeliverableKind("exr", "exr", "", Encoding.EXR, foreground=_ALWAYS),
        DeliverableKind("preview", "preview", ".mp4", Encoding.SCREEN, View.SCREEN),
        DeliverableKind(
            *("confidence", "confidence", ".mp4", Encoding.GREY),
            shows_subjects=True,
            follows_edge=False,
            version=1,
        ),
        DeliverableKind(
            *("overlay", "detections", ".mp4", Encoding.SCREEN, View.SCREEN), shows_subjects=True
        ),
    )
}
"""Every deliverable by name."""


def kinds_of(names: Iterable[DeliverableName]) -> tuple[DeliverableKind, ...]:
    """Return the rows of some deliverables, in the same order."""
    return tuple(KINDS[name] for name in names)
