"""Who this sidecar is to Redis, from a folder with the files `username` and `password`, as a mounted Secret is.

Read each time a connection is opened: a Secret that comes late, or gets another password, needs no restart.
"""

from pathlib import Path

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError

MOST_BYTES = 4096


class FromFolder(CredentialProvider):  # type: ignore[misc]  # redis is not followed
    """What the folder says now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def get_credentials_async(self) -> tuple[str, ...]:
        """User and password, the password alone, or nothing: then it is Redis that says what it wants."""
        # Kubernetes swaps this link when the Secret changes. Followed once, so that both files are of one Secret.
        swapped = self._folder / "..data"
        folder = swapped.resolve() if swapped.exists() else self._folder
        username, password = _text(folder / "username"), _text(folder / "password")
        if not password:
            return ()
        return (username, password) if username else (password,)


def _text(file: Path) -> str:
    """What is in the file, without the line's end; empty if there is none. An error of Redis if it cannot be read."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        return content.decode().rstrip("\r\n")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        # Without the cause's own words for a text that is no UTF-8: they quote it.
        why = "no UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise ConnectionError(f"SLUICEGATE_REDIS_CREDENTIALS: {file} cannot be used: {why}") from None
