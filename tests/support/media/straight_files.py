"""Finished files with straight alpha, decoded as a viewer of the tests needs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vrmatte.frames import ColorTags, StraightFrame
from vrmatte.media.decode import decode_with_alpha
from vrmatte.media.opening import open_input
from vrmatte.media.planes import straight_layout, to_straight


def read_straight(path: Path) -> Iterator[StraightFrame]:
    """Yield every frame of a file with straight alpha, times in the stream's time base.

    8-bit files give yuva420p, ProRes and 10-bit FFV1 give yuva444p10le; planes may be views of the
    decoder's memory. Colour tags are those of the container.
    """
    with open_input(path) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        color = ColorTags(
            context.color_primaries,
            context.color_trc,
            context.colorspace,
            full_range=context.color_range == 2,
        )
        for frame in decode_with_alpha(container, stream):
            layout = straight_layout(frame)
            assert layout is not None, frame.format.name
            yield to_straight(frame, layout, color)
