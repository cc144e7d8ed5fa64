"""The video of a job: its frames, and a check that it is still the video of the earlier run."""

from __future__ import annotations

from pathlib import Path

from vrmatte.errors import OutputError
from vrmatte.frames import HeldSpan, Timeline
from vrmatte.jobs.manifest import Manifest
from vrmatte.media.damage import DAMAGE_VERSION, read_timeline
from vrmatte.media.probe import SourceInfo
from vrmatte.progress import Notice, Observer
from vrmatte.settings.config import Config


def known_timeline(
    source: SourceInfo, manifest: Manifest, config: Config, observer: Observer
) -> Timeline:
    """Return all frames of the source; damage that an earlier run found is not searched again."""
    stored = manifest.fact("damage")

    def subject(timeline: Timeline) -> dict[str, object]:
        return {"content": timeline.content_digest, "version": DAMAGE_VERSION}

    def known(timeline: Timeline) -> list[HeldSpan] | None:
        wanted = subject(timeline)
        if isinstance(stored, dict) and {k: stored.get(k) for k in wanted} == wanted:
            return [HeldSpan(*span) for span in stored["held"]]
        return None

    timeline = read_timeline(source, config.input.on_damage, observer, known)
    if config.input.on_damage != "stop":
        held = [[span.first, span.last, span.shown] for span in timeline.held]
        manifest.set_fact("damage", {**subject(timeline), "held": held})
    return timeline


def check_identity(
    manifest: Manifest, video: Path, quick: str, identity: str, observer: Observer
) -> None:
    """Check that the job is about this video, and record its identity.

    Args:
        manifest: of the job.
        video: the source.
        quick: its fingerprint from a few samples; damage between them does not change it.
        identity: digest of its whole content.
        observer: receives a notice if the content differs from that of the earlier run.

    Raises:
        OutputError: the directory holds work on another video of that name.
    """
    known = manifest.fact("input")
    # Earlier versions recorded the fingerprint alone.
    if known not in (None, identity) and quick not in (known, manifest.fact("quick_input")):
        raise OutputError(
            f"{video}: the output belongs to another video (same name, different content). Choose "
            "another --out, or start over with --fresh"
        )
    if known not in (None, identity, quick):
        observer(
            Notice(
                f"{video}: its content differs from that of the earlier run, for example because "
                "it was copied again; everything is processed again"
            )
        )
    manifest.set_fact("input", identity)
    manifest.set_fact("quick_input", quick)
