"""How a caller is named wherever anything is stored: by a keyed hash, never by the id itself."""

import hashlib
import hmac


def hash_caller(key: bytes, caller_id: str) -> str:
    """HMAC-SHA-256 of `caller_id` under `key`, 32 hex digits; empty for an empty caller."""
    return hmac.new(key, caller_id.encode(), hashlib.sha256).hexdigest()[:32] if caller_id else ""
