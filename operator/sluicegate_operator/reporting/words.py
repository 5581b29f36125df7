"""Times, shares and numbers as people read them, and texts of others made harmless to look at."""

import unicodedata
from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
TURNS_TEXT_AROUND = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""With these, a text could be shown in another order than it was written in."""


def moment(at: float) -> str:
    """A time in Unix seconds, to the minute."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def duration(seconds: float) -> str:
    """About how long: `3 h 20 min`."""
    if seconds < MINUTE:
        return "a minute"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < DAY:
        hours, rest = divmod(seconds, HOUR)
        return f"{hours:.0f} h {rest // MINUTE:.0f} min"
    days, rest = divmod(seconds, DAY)
    return f"{days:.0f} d {rest // HOUR:.0f} h"


def share(of: float) -> str:
    """0.125 as `12.5%`."""
    return f"{100 * of:.3g}%"


def score(value: float | None) -> str:
    """A mean, or a bound of one, with two digits."""
    return "–" if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """A difference, with two digits and its sign."""
    if value is None:
        return "–"
    shown = f"{value:+.2f}".replace("-", "−")
    return "0.00" if shown in ("+0.00", "−0.00") else shown


def visible(text: str) -> str:
    """On one line, and without what a terminal or a page would obey instead of showing it."""
    spaced = " ".join(text.split())
    return "".join("�" if _is_obeyed(character) else character for character in spaced)


def _is_obeyed(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or character in TURNS_TEXT_AROUND
