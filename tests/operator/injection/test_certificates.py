"""Which certificate is to be, at any time: decided without a clock, checked by a TLS handshake where it matters."""

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate_operator.injection.certificates import (
    BACKDATE,
    LIFETIME,
    MOST_BYTES,
    SPREAD,
    Kept,
    Pair,
    Unusable,
    decide,
    expires,
    from_secret,
    new_pair,
    next_look,
    to_secret,
)
from sluicegate_operator.injection.served import Served

NAMES = ("injector.sluicegate.svc",)
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def handshake(pair: Pair, trusted: bytes, name: str = NAMES[0]) -> None:
    """What the API server does when it calls, in memory; SSLError if it would not take the certificate."""
    served = Served()
    served.take(pair.chain, pair.key)
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cadata=trusted.decode()).wrap_bio(client_in, client_out, server_hostname=name)
    server = served.tls.wrap_bio(client_out, client_in, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def after(kept: Kept, known: bytes, now: datetime) -> Kept:
    return decide(kept, None, known, NAMES, now)


def bundle(kept: Kept) -> bytes:
    return b"".join(kept.trusted)


def test_the_api_server_takes_what_is_made() -> None:
    """A certificate and its authority stand up to a client that checks all there is to check, and to no other name."""
    pair = new_pair(NAMES, datetime.now(UTC))
    handshake(pair, pair.authority)
    with pytest.raises(ssl.SSLError, match="Hostname mismatch"):
        handshake(pair, pair.authority, "injector.other.svc")
    with pytest.raises(ssl.SSLError, match=r"self[- ]signed|unable to get local issuer"):
        handshake(pair, new_pair(NAMES, datetime.now(UTC)).authority)


def test_an_authority_signs_once() -> None:
    """Its key is kept nowhere, it may sign no authorities, and no two have the same subject."""
    kept = Kept(new_pair(NAMES, NOW), new_pair(NAMES, NOW), new_pair(NAMES, NOW).authority)
    authorities = [x509.load_pem_x509_certificate(one) for one in kept.trusted]
    assert len({one.subject for one in authorities}) == 3
    for one in authorities:
        limits = one.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert (limits.ca, limits.path_length) == (True, 0)
    assert bundle(kept).count(b"BEGIN CERTIFICATE") == 3
    assert all(value.count(b"PRIVATE KEY-----") == 2 for name, value in to_secret(kept).items() if name.endswith("key"))


def test_an_empty_secret_is_filled() -> None:
    """The first certificate is served at once: there is nobody yet who could trust another."""
    kept = decide(None, None, b"", NAMES, NOW)
    assert (kept.next, kept.previous) == (None, b"")
    assert decide(kept, None, b"", NAMES, NOW) is kept


def test_a_lost_secret_is_put_back() -> None:
    """What this process serves is what the API server trusts: with it, nobody notices."""
    served = Kept(new_pair(NAMES, NOW), new_pair(NAMES, NOW), new_pair(NAMES, NOW).authority)
    assert decide(None, served, bundle(served), NAMES, NOW) is served


def test_a_rotation() -> None:
    """Two thirds through, the next authority is told first; it is served once told for a while, the old one trusted."""
    first = decide(None, None, b"", NAMES, NOW)
    due = NOW + LIFETIME * 2 / 3
    assert after(first, bundle(first), due - timedelta(seconds=1)) is first
    announced = after(first, bundle(first), due)
    assert announced.current is first.current
    assert announced.next is not None
    # Not while the API server has not heard of it, however long.
    assert after(announced, bundle(first), due + timedelta(days=1)) is announced
    assert next_look(announced, due + timedelta(days=1)) == timedelta(seconds=10)
    assert after(announced, bundle(announced), due + SPREAD - timedelta(seconds=1)) is announced
    second = after(announced, bundle(announced), due + SPREAD)
    assert second == Kept(announced.next, None, first.current.authority)
    assert after(second, bundle(second), due + SPREAD) is second
    # The authority of the first goes when the next rotation begins.
    third = after(second, bundle(second), due + LIFETIME * 2 / 3)
    assert third.previous == b""
    assert first.current.authority not in third.trusted


def test_what_has_ended_is_replaced_at_once() -> None:
    """An injector that was away for months trusts nothing old, and waits for nobody."""
    first = decide(None, None, b"", NAMES, NOW)
    late = NOW + LIFETIME
    second = decide(first, first, bundle(first), NAMES, late)
    assert second.current != first.current
    assert second.next is None
    handshake_time = expires(second.current.chain)
    assert handshake_time == late + LIFETIME


def test_a_next_one_that_has_ended_is_forgotten() -> None:
    """A rotation that nobody finished is begun again, with the current certificate in use all the time."""
    current = new_pair(NAMES, NOW)
    stale = Kept(current, new_pair(NAMES, NOW - LIFETIME))
    assert after(stale, bundle(stale), NOW) == Kept(current)


def test_another_service_gets_another_certificate() -> None:
    """A Secret that was kept from an installation of another name is not served."""
    kept = decide(None, None, b"", ("old.sluicegate.svc",), NOW)
    assert decide(kept, kept, bundle(kept), NAMES, NOW).current != kept.current


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.001, 0.5), st.sampled_from(["told", "not told", "emptied"])), min_size=1, max_size=30
    )
)
def test_at_every_moment_the_api_server_trusts_what_is_served(steps: list[tuple[float, str]]) -> None:
    """Whatever the times between the looks, told or not: what is served is trusted by what was told last, and lasts."""
    now, kept = NOW, decide(None, None, b"", NAMES, NOW)
    told = bundle(kept)
    for lifetimes, happens in steps:
        before, now = kept, now + LIFETIME * lifetimes
        kept = decide(None if happens == "emptied" else kept, kept, told, NAMES, now)
        was_alive = now < expires(before.current.chain)
        if was_alive:
            # For whoever has heard of the Secret, and for the replica that has not.
            assert kept.current.authority in told
            assert before.current.authority in bundle(kept)
        assert now < expires(kept.current.chain)
        assert len(kept.trusted) <= 3
        assert timedelta(0) < next_look(kept, now) <= timedelta(hours=1)
        if happens != "not told" or not was_alive:
            told = bundle(kept)


@given(st.booleans(), st.booleans())
def test_what_is_stored_is_read_again(has_next: bool, has_previous: bool) -> None:
    """The Secret holds all there is to know."""
    kept = Kept(
        new_pair(NAMES, NOW),
        new_pair(NAMES, NOW) if has_next else None,
        new_pair(NAMES, NOW).authority if has_previous else b"",
    )
    assert from_secret(to_secret(kept)) == kept


GOOD = to_secret(Kept(new_pair(NAMES, NOW), new_pair(NAMES, NOW)))
OTHER = to_secret(Kept(new_pair(NAMES, NOW)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tls.crt": b""}, "tls.crt, tls.key: one of them is empty"),
        ({"tls.key": b""}, "tls.crt, tls.key: one of them is empty"),
        ({"tls.crt": b"x"}, "tls.crt, tls.key: one of them is empty, or no certificate"),
        ({"tls.crt": GOOD["tls.crt"] + b" " * MOST_BYTES}, "tls.crt, tls.key: one of them is empty"),
        ({"tls.key": b"x"}, "tls.key: not the key of tls.crt"),
        ({"tls.key": OTHER["tls.key"]}, "tls.key: not the key of tls.crt"),
        ({"ca.crt": b""}, "ca.crt: without the authority of tls.crt"),
        ({"ca.crt": OTHER["ca.crt"]}, "ca.crt: without the authority of tls.crt"),
        ({"ca.crt": b"\xff"}, "ca.crt: without the authority of tls.crt"),
        ({"next.key": b""}, "next.crt, next.key: one of them is empty"),
    ],
)
def test_what_cannot_be_served_is_told(change: Mapping[str, bytes], told: str) -> None:
    """A Secret that somebody has spoilt names the field that is wrong."""
    with pytest.raises(Unusable, match=told.replace(".", r"\.")):
        from_secret({**GOOD, **change})


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=60), st.integers(0, 2000))
def test_any_bytes_are_read_or_told(name: str, junk: bytes, at: int) -> None:
    """Whatever is in the Secret ends in a pair that can be served, or in Unusable."""
    spoilt = GOOD[name][:at] + junk + GOOD[name][at:]
    with contextlib.suppress(Unusable):
        kept = from_secret({**GOOD, name: spoilt})
        decide(kept, None, b"", NAMES, NOW)
        Served().take(kept.current.chain, kept.current.key)


def test_a_forged_authority_does_not_count() -> None:
    """An authority of the same subject that did not sign the certificate is as good as none."""
    kept = Kept(new_pair(NAMES, NOW))
    other = Kept(replace(kept.current, authority=new_pair(NAMES, NOW).authority))
    assert after(other, b"", NOW).current != other.current


def test_clocks_may_differ() -> None:
    """An API server whose clock is some minutes behind takes a certificate that was just made."""
    pair = new_pair(NAMES, NOW)
    assert x509.load_pem_x509_certificate(pair.chain).not_valid_before_utc == NOW - BACKDATE
