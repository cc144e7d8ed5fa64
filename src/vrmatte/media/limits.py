"""What a header may claim before a file is taken for a hostile one: all limits on input, once."""

from __future__ import annotations

LARGEST_SIDE_PX = 16384
LONGEST_SECONDS = 24 * 3600
MOST_FRAMES = LONGEST_SECONDS * 60
"""Of one stream: 24 hours at 60 a second, 12 hours at 120. Times of as many take 40 MB."""
MOST_TRACKS = 256
