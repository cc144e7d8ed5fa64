"""Render the page as one HTML text that needs no other file and no internet connection."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path, PurePath
from typing import Any

from vrmatte.quality.measures import MEASURES
from vrmatte.report.page.content import PageContent, WorstLook
from vrmatte.report.page.facts_view import (
    all_settings,
    changed_settings,
    damage_rows,
    file_views,
    stereo_view,
    time_view,
)
from vrmatte.report.page.frame_images import FrameImages
from vrmatte.report.page.people_view import MOST_SHOTS, chapters, people_view
from vrmatte.report.page.quality_view import quality_cards
from vrmatte.report.page.wording import (
    clock,
    duration,
    eye_words,
    grouped,
    measured,
    person_words,
    shortened,
)

_FOLDER = Path(__file__).parent
MOST_NOTICES = 200
_LONGEST_NOTICE = 600


def render_page(content: PageContent) -> str:
    """Return the page as HTML; all text is escaped, and the page refuses every other script."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"grouped": grouped, "duration": duration}
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        style=(_FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=digest,
        **_views(content),
    )


def _views(content: PageContent) -> dict[str, Any]:
    facts = content.facts
    shots = chapters(content)
    return {
        "facts": facts,
        "title": PurePath(facts["source"]).name,
        "span": f"{clock(content.seconds(content.first))} to {clock(content.span.last_seconds)}",
        "length": duration(content.span.last_seconds - content.span.first_seconds),
        "speed": f"{facts['frames'] / facts['seconds']:.2f}" if facts["seconds"] else "",
        "files": file_views(facts),
        "notices": [shortened(text, _LONGEST_NOTICE) for text in facts["notices"][:MOST_NOTICES]],
        "notices_left_out": max(0, len(facts["notices"]) - MOST_NOTICES),
        "damage": damage_rows(facts),
        "failures": facts.get("failures") or [],
        "people": people_view(content),
        "chapters": shots,
        "chapters_left_out": max(0, len(content.shots) - MOST_SHOTS),
        "cards": quality_cards(content),
        "worst": [_worst(look, content) for look in content.worst],
        "samples": [_sample(images, content) for images in content.samples],
        "stereo": stereo_view(content),
        "time": time_view(facts),
        "changed": changed_settings(content),
        "settings": all_settings(content),
    }


def _worst(look: WorstLook, content: PageContent) -> dict[str, Any]:
    worst = look.worst
    measure = MEASURES[worst.reason]
    return {
        "frame": worst.frame,
        "time": clock(content.seconds(worst.frame), 2),
        "person": person_words(worst.person),
        "eye": eye_words(worst.eye),
        "label": measure.label,
        "value": measured(worst.value, measure.unit),
        "limit": measured(worst.limit, measure.unit),
        "good": measure.good,
        "beyond": worst.beyond,
        "layers": look.images.layers if look.images else (),
    }


def _sample(images: FrameImages, content: PageContent) -> dict[str, Any]:
    by_name = {layer.name: layer for layer in images.layers}
    return {
        "frame": images.frame,
        "time": clock(content.seconds(images.frame), 2),
        "before": by_name.get("source"),
        "after": by_name.get("composite"),
    }
