"""Matplotlib drawings as SVG inside a page: text stays text, colours come from the page.

Colours are drawn as placeholders and then replaced by CSS variables, so that one drawing suits a
light and a dark page. The same values give the same bytes.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VARIABLES = (
    "ink",
    "muted",
    "grid",
    "paper",
    "left",
    "right",
    "bad",
    "kept",
    "out",
    *(f"c{number}" for number in range(8)),
)
"""Colours that a page must define, as `--ink` and so on."""
PALETTE = 8
"""Number of the colours `c0`, `c1`, ..."""
_STAND_IN = {name: f"#f0{number:02x}0d" for number, name in enumerate(VARIABLES, 1)}
_PX_PER_INCH = 72
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vrmatte",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.linewidth": 0.8,
    "path.simplify": False,
}
_IDENTIFIED = re.compile(r'(\bid="|url\(#|href="#)')
_FONT = re.compile(r"font: ([\d.]+)px [^;\"]*|(font-size: [\d.]+px); font-family: [^;\"]*")
_LONG_NUMBER = re.compile(r"(?<=[ \"(])(-?\d+\.\d\d)\d+")
_HEAD = re.compile(r"<svg\b[^>]*>")


def colour(name: str) -> str:
    """Return the placeholder of a page colour, to draw with."""
    return _STAND_IN[name]


@contextmanager
def drawing(width_px: int, height_px: int) -> Generator[Figure]:
    """Open an empty, transparent drawing; call `as_svg` inside the block."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it reports its caches otherwise
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        size = width_px / _PX_PER_INCH, height_px / _PX_PER_INCH
        figure = Figure(figsize=size, dpi=_PX_PER_INCH)
        figure.patch.set_visible(False)
        FigureCanvasSVG(figure)
        yield figure


def add_axes(figure: Figure, left: int, top: int, right: int, bottom: int) -> Axes:
    """Add plain axes with margins in pixels: a line below, faint lines across, no frame."""
    width, height = (side * _PX_PER_INCH for side in figure.get_size_inches())
    box = left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height
    axes = figure.add_axes(box)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(colour("muted"))
    axes.tick_params(colors=colour("muted"), length=3, width=0.8)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    axes.grid(True, axis="y", color=colour("grid"), linewidth=0.8)
    return axes


def as_svg(figure: Figure, name: str, label: str) -> str:
    """Return the drawing as an `svg` element.

    Args:
        figure: from `drawing`.
        name: letters and digits; the prefix that keeps its ids unique on the page.
        label: the text for screen readers; escaped here.
    """
    metadata: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=metadata)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # A style sheet inside a drawing would apply to the whole page.
    text = re.sub(r"<style\b.*?</style>", "", text, flags=re.DOTALL)
    text = _IDENTIFIED.sub(rf"\g<1>{name}-", text)
    text = _FONT.sub(lambda f: f"font-size: {f[1]}px" if f[1] else f[2], text)
    text = _LONG_NUMBER.sub(r"\1", text)
    for variable, stand_in in _STAND_IN.items():
        text = text.replace(stand_in, f"var(--{variable})")
    width, height = (round(side * _PX_PER_INCH) for side in figure.get_size_inches())
    head = (
        f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{_quoted(label)}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    text = _HEAD.sub(lambda _: head, text, count=1)
    return re.sub(r"\n\s*", "\n", text).strip()


def _quoted(text: str) -> str:
    for letter, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(letter, entity)
    return text
