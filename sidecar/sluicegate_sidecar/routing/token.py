"""The assignment token: a signed note of which variant a session had, for whoever has forgotten it.

It holds nothing secret, and is worth nothing for another session. Its key is derived from the one that callers are
hashed under, which all sidecars of an agent share.
"""

import functools
import hashlib
import hmac

import msgspec

from sluicegate_sidecar.routing.assignment import Attribution

SIGNATURE_BYTES = 16
MAX_TOKEN_BYTES = 2_048


class Note(msgspec.Struct, array_like=True, frozen=True):
    """What is signed."""

    session_id: str
    attribution: Attribution


def sign(key: bytes, session_id: str, attribution: Attribution) -> str:
    """Hexadecimal digits; empty while there is no key to sign with."""
    if not key:
        return ""
    note = msgspec.msgpack.encode(Note(session_id, attribution))
    return (_signature(key, note) + note).hex()


def verify(key: bytes, session_id: str, token: str) -> Attribution | None:
    """What the token says; None if it was not signed under this key for this session."""
    if not key or not token or len(token) > MAX_TOKEN_BYTES:
        return None
    try:
        signed = bytes.fromhex(token)
        signature, packed = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _signature(key, packed)):
            return None
        note = msgspec.msgpack.decode(packed, type=Note)
    except ValueError:
        return None
    return note.attribution if note.session_id == session_id else None


def _signature(key: bytes, note: bytes) -> bytes:
    """BLAKE2b with a key, RFC 7693: each Assign signs, and HMAC takes three times as long."""
    return hashlib.blake2b(note, digest_size=SIGNATURE_BYTES, key=_derived(key)).digest()


@functools.lru_cache(maxsize=4)
def _derived(key: bytes) -> bytes:
    return hashlib.sha256(b"assignment-token" + key).digest()
