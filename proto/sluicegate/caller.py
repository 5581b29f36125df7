"""How a caller is named wherever anything is stored: by a keyed hash, never by the id itself."""

import hmac


def hash_caller(key: bytes, caller_id: str) -> str:
    """HMAC-SHA-256 of `caller_id` under `key`, 32 hex digits; empty for an empty caller."""
    return hmac.digest(key, caller_id.encode(), "sha256").hex()[:32] if caller_id else ""
