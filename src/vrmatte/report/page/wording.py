"""Numbers, times, sizes and names as the page shows them."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def clock(seconds: float, digits: int = 1) -> str:
    """Format a time as m:ss.s, or as h:mm:ss.s from one hour on."""
    ticks = round(abs(seconds) * 10**digits)
    whole, rest = divmod(ticks, 10**digits)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    tail = f".{rest:0{digits}d}" if digits else ""
    head = f"{hours}:{minute:02d}" if hours else f"{minute}"
    return f"{'-' if seconds < 0 else ''}{head}:{second:02d}{tail}"


def duration(seconds: float) -> str:
    """Format a duration: "4.2 s", "1 min 5 s", "1 h 2 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def size(count: float) -> str:
    """Format a number of bytes: "12.3 kB"."""
    step = 0
    while count >= 1000 and step < len(_UNITS) - 1:
        count, step = count / 1000, step + 1
    return f"{count:.0f} bytes" if step == 0 else f"{count:.3g} {_UNITS[step]}"


def measured(value: float, unit: str) -> str:
    """Format a measured value with its unit; "%" takes a share 0..1."""
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "x":
        return f"{value:.2f} x"
    if unit == "px":
        return f"{value:.2f} px"
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"


def grouped(count: int) -> str:
    """Format a whole number with thin spaces between thousands."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def eye_words(eye: str | None) -> str:
    """Name an eye; None: both eyes compared."""
    return "both eyes" if eye is None else f"{eye} eye"


def person_words(person: int | None) -> str:
    """Name a person by id; None: everybody."""
    return "everybody" if person is None else f"person {person}"


def stage_words(stage: str) -> str:
    """Name a stage of the run; the stage of a file has that file's name."""
    return stage.removeprefix("file:")


def shortened(text: str, most: int) -> str:
    """Cut a text to so many characters; an ellipsis marks the cut."""
    return text if len(text) <= most else text[:most] + " ..."
