"""Whose time counts, with clocks that are set by hand."""

import pytest

from sluicegate_sidecar.routing.clock import NOISE_SECONDS, Clock

HOUR = 3600.0


class Host:
    """A host whose two clocks are set by the test."""

    def __init__(self) -> None:
        self.wall, self.ticks = 1_800_000_000.0, 50.0
        self.clock = Clock(lambda: self.wall, lambda: self.ticks)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds

    def hears(self, told: float, took: float = 0.0) -> None:
        self.clock.hear(told, self.ticks - took, self.ticks)


def test_a_hosts_time_counts_until_redis_is_heard() -> None:
    """There is no other."""
    host = Host()
    host.passes(5)
    assert host.clock.now() == host.wall


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_redis_counts_once_it_is_heard(off: float, caplog: pytest.LogCaptureFixture) -> None:
    """An hour ahead or behind, told once; and time goes on from there while Redis is away."""
    host = Host()
    for _ in range(3):
        host.hears(host.wall + off)
        host.passes(7)
    assert host.clock.now() == pytest.approx(host.wall + off)
    assert len(caplog.records) == 1
    assert f"3600 s {'behind' if off > 0 else 'ahead of'} Redis's" in caplog.text


@pytest.mark.parametrize("took", [0.0, 4.0])
def test_a_slow_reply_is_no_other_time(took: float) -> None:
    """What the way of a reply explains changes nothing: now never jumps to and fro with the network."""
    host = Host()
    host.passes(took)
    host.hears(host.wall - took / 2 + 0.99 * (NOISE_SECONDS + took / 2), took)
    assert host.clock.now() == host.wall


def test_a_clock_that_is_set_meanwhile_changes_nothing() -> None:
    """A step of the host's clock neither makes a snapshot stale nor a session old."""
    host = Host()
    before = host.clock.now()
    host.wall += HOUR
    host.passes(3)
    assert host.clock.now() == before + 3


def test_what_agents_tell_has_their_hosts_clock() -> None:
    """A told time is moved with the host's; no time stays none, and without a difference it stays what was told."""
    host = Host()
    assert host.clock.from_host(host.wall - 60) == host.wall - 60
    host.hears(host.wall + HOUR)
    assert host.clock.from_host(host.wall - 60) == pytest.approx(host.wall - 60 + HOUR)
    assert host.clock.from_host(0.0) == 0.0
    assert host.clock.to_host(host.clock.from_host(host.wall)) == pytest.approx(host.wall)
