"""Whether a plan fits into memory, asked before anything is made."""

from __future__ import annotations

import psutil

from vrmatte.errors import ConfigError
from vrmatte.plan import Plan

BASE_BYTES = 700_000_000
"""Libraries, network and its working memory."""
BYTES_PER_PIXEL = 100
"""Frames on their way through decoder, composer and one encoder. Measured peaks at 6144x3072: 2.3
GB for three deliverables in 8 bit, 2.9 GB for a 10-bit matte."""


def needed_bytes(plan: Plan) -> int:
    """About how much memory a run of this plan takes, whatever its length."""
    return BASE_BYTES + BYTES_PER_PIXEL * plan.source.width * plan.source.height


def check_memory(plan: Plan) -> str | None:
    """A warning where little memory is free; None where there is enough.

    Raises:
        ConfigError: the plan needs more than `processing.max_memory_gb`.
    """
    needed = needed_bytes(plan)
    limit = plan.config.processing.max_memory_gb
    if limit is not None and needed > limit * 1e9:
        raise ConfigError(
            f"processing.max_memory_gb={limit:g}: {plan.source.width}x{plan.source.height} needs "
            f"about {needed / 1e9:.1f} GB, whatever the length; allow that much, or process a "
            "smaller export"
        )
    free = psutil.virtual_memory().available
    if needed <= free:
        return None
    return (
        f"only {free / 1e9:.1f} GB of memory are free, about {needed / 1e9:.1f} GB are needed: "
        "close other programs if this run becomes slow"
    )
