"""Writes the page: one HTML text that needs nothing else, neither files nor a network."""

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
from vrmatte.report.page.people_view import MOST_SHOTS, chapters, people_view
from vrmatte.report.page.quality_view import quality_cards
from vrmatte.report.page.wording import (
    clock,
    duration,
    eye_words,
    grouped,
    measured,
    person_words,
)

_FOLDER = Path(__file__).parent
MOST_NOTICES = 200
_LONGEST_NOTICE = 600


def render_page(content: PageContent) -> str:
    """The page as HTML. All text is escaped; scripts other than its own are refused by the page."""
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
        "notices": [_cut(text) for text in facts["notices"][:MOST_NOTICES]],
        "notices_left_out": max(0, len(facts["notices"]) - MOST_NOTICES),
        "damage": damage_rows(facts),
        "failures": facts.get("failures") or [],
        "people": people_view(content),
        "chapters": shots,
        "chapters_left_out": max(0, len(content.shots) - MOST_SHOTS),
        "cards": quality_cards(content),
        "worst": [_worst(look, content) for look in content.worst],
        "samples": [_sample(pictures, content) for pictures in content.samples],
        "stereo": stereo_view(content),
        "time": time_view(facts),
        "changed": changed_settings(content),
        "settings": all_settings(content),
        "clock": lambda frame: clock(content.seconds(frame), 2),
    }


def _worst(look: WorstLook, content: PageContent) -> dict[str, Any]:
    worst = look.worst
    measure = MEASURES[worst.reason]
    return {
        "frame": worst.frame,
        "time": clock(content.seconds(worst.frame), 2),
        "who": person_words(worst.person),
        "eye": eye_words(worst.eye),
        "label": measure.label,
        "value": measured(worst.value, measure.unit),
        "limit": measured(worst.limit, measure.unit),
        "good": measure.good,
        "beyond": worst.beyond,
        "layers": look.pictures.layers if look.pictures else (),
    }


def _sample(pictures: Any, content: PageContent) -> dict[str, Any]:
    by_name = {layer.name: layer for layer in pictures.layers}
    return {
        "frame": pictures.frame,
        "time": clock(content.seconds(pictures.frame), 2),
        "before": by_name.get("source"),
        "after": by_name.get("composite"),
        "matte": by_name.get("matte"),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_NOTICE else text[:_LONGEST_NOTICE] + " ..."
