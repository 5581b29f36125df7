"""Limits can be set, within reason, and a mistake in them stops the start."""

from dataclasses import fields

import pytest

from sluicegate_sidecar.config import Config
from sluicegate_sidecar.errors import ConfigError
from sluicegate_sidecar.limits import RANGES, Limits, read_limits


def test_without_a_word_the_defaults_hold() -> None:
    """Those of the protocol."""
    assert read_limits("") == Limits()
    assert (Limits().item_bytes, Limits().session_bytes, Limits().session_items) == (65_536, 1_048_576, 2_000)


def test_no_limit_is_left_out() -> None:
    """What is a limit can be set."""
    assert RANGES.keys() == {field.name for field in fields(Limits)}


@pytest.mark.parametrize("name", RANGES)
def test_each_limit_can_be_set(name: str) -> None:
    """To the ends of its range; the others stay."""
    least, most = RANGES[name]
    rest = ",session_bytes=4194304" if name == "item_bytes" else ",item_bytes=1024"
    for value in (least, most):
        assert getattr(read_limits(f" {name} = {value} {rest},"), name) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("items=5", "'items' is no limit; the limits are item_bytes, session_bytes"),
        ("session_items", "session_items: '' is not a whole number from 1 to 20000"),
        ("session_items=0", "session_items: '0' is not"),
        ("session_items=-1", "session_items: '-1' is not"),
        ("session_items=1e3", "session_items: '1e3' is not"),
        ("session_items=20001", "session_items: '20001' is not"),
        ("session_items=٣", "session_items: '٣' is not"),
        ("session_items=5,session_items=6", "session_items is given twice"),
        ("item_bytes=65536,session_bytes=4096", "item_bytes: 65536 is more than session_bytes, 4096"),
    ],
)
def test_a_mistake_is_named(text: str, problem: str) -> None:
    """The setting, the limit, and what it can be."""
    with pytest.raises(ConfigError) as refused:
        Config.from_env({"SLUICEGATE_AGENT": "a", "SLUICEGATE_LIMITS": text})
    assert str(refused.value).startswith(f"SLUICEGATE_LIMITS: {problem}")
