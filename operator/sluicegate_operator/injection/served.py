"""The certificate that is served now: another one is taken for the connections from then on, without a restart."""

import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from sluicegate_operator.injection.certificates import Unusable


class Served:
    """The TLS of a listener, and the pair in it."""

    def __init__(self) -> None:
        self._pair: tuple[bytes, bytes] | None = None
        self._now: ssl.SSLContext | None = None
        self.tls = _context()
        """For the listener. Each handshake is given what is served at that time."""
        self.tls.sni_callback = self._hand_over

    def take(self, chain: bytes, key: bytes) -> bool:
        """Serves this pair from now on; whether it is another one. Unusable if it cannot be served."""
        if self._pair == (chain, key):
            return False
        context = _context()
        try:
            with _as_file(key + b"\n" + chain) as path:
                context.load_cert_chain(path)
        except (ssl.SSLError, OSError) as error:
            raise Unusable(f"tls.crt, tls.key: cannot be served: {error}") from error
        self._pair, self._now = (chain, key), context
        return True

    def _hand_over(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        if self._now is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = self._now
        return None


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """OpenSSL reads files alone. Where the system can, one that is in memory: a key belongs on no disk."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("certificate")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(content)
            file.flush()
            yield file.name
