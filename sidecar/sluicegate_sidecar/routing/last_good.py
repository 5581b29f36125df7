"""The last good snapshot on disk, with the halts and the key: what a sidecar starts from while Redis is away."""

import contextlib
import logging
import os
from pathlib import Path

import msgspec

from sluicegate.snapshot import VersionedExperiment, VersionedPolicy

log = logging.getLogger(__name__)


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What was in force, and when Redis last said so (Unix seconds, by this host's clock)."""

    policy: VersionedPolicy
    experiment: VersionedExperiment
    halted: tuple[str, ...]
    caller_key: bytes
    heard_at: float


class LastGood:
    """One file, replaced whole, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "last-good.msgpack"

    def load(self) -> Remembered | None:
        """What is remembered; None if there is nothing, or nothing that can be read."""
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=Remembered)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s cannot be read (%s); starting without it", self._path, error)
            return None

    def save(self, remembered: Remembered) -> None:
        """A disk that cannot be written is told of, and costs no more than a start without a snapshot."""
        beside = self._path.with_suffix(".new")
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.msgpack.encode(remembered))
                file.flush()
                os.fsync(descriptor)
            beside.replace(self._path)
        except OSError as error:
            log.warning("the last good snapshot cannot be kept in %s: %s", self._path, error)
