"""Numbers and texts as people read them."""

import pytest

from sluicegate_operator.reporting.words import duration, moment, share, signed, visible
from sluicegate_operator.rollout.sentences import evidence_shown


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(5, "a minute"), (60, "1 min"), (3_599, "60 min"), (12_000, "3 h 20 min"), (180_000, "2 d 2 h")],
)
def test_a_duration(seconds: float, told: str) -> None:
    """To two units at most."""
    assert duration(seconds) == told


def test_times_shares_and_differences() -> None:
    """UTC to the minute, percent without needless digits, and a sign that is a minus."""
    assert moment(1_790_000_000) == "2026-09-21 14:13 UTC"
    assert (share(0.125), share(1.0), share(0.0)) == ("12.5%", "100%", "0%")
    assert (signed(-0.5), signed(0.25), signed(-0.001), signed(None)) == ("−0.50", "+0.25", "0.00", "–")


@pytest.mark.parametrize(
    ("log", "told"),
    [(0.0, "1"), (3.0, "20.1"), (8.0, "2981"), (2_500.0, "over 10000"), (-3.0, "0.0498"), (-99.0, "under 0.001")],
)
def test_evidence_of_any_size(log: float, told: str) -> None:
    """As a plain number, never as a power of ten."""
    assert evidence_shown(log) == told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one\n two\tthree", "one two three"),
        ("\x1b[2Jgone", "�[2Jgone"),
        ("abc\u202egnp.exe", "abc�gnp.exe"),
        ("\x9b31mred", "�31mred"),
        ("日本 👩‍⚕️ müller", "日本 👩‍⚕️ müller"),
    ],
)
def test_what_would_be_obeyed_is_shown(text: str, shown: str) -> None:
    """Line ends, the escape sequences of terminals, and what turns text around; letters of all languages stay."""
    assert visible(text) == shown
