"""The spool: operations on disk while Redis is away, in order, each fsynced before it is acknowledged.

Segments of records, each record its length, its CRC-32 and its bytes. What was drained to Redis is forgotten a segment
at a time; after a crash the head of the oldest segment is drained again, which Redis recognises. A record that was cut
off by a crash was never acknowledged, and is dropped.
"""

import asyncio
import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from sluicegate_sidecar.errors import ConfigError, SpoolFull
from sluicegate_sidecar.limits import Limits

HEAD = struct.Struct(">II")
SEGMENT_BYTES = 1024 * 1024
BATCH = 256
"""Records in one fsync at most."""

log = logging.getLogger(__name__)


class Spool:
    """A bounded, durable queue in one folder, which one process at a time may have."""

    def __init__(self, folder: Path, max_bytes: int = Limits().spool_bytes) -> None:
        """ConfigError if the folder cannot be written, or another process has it."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"SLUICEGATE_STATE: {folder} belongs to another running sidecar") from error
        except OSError as error:
            raise ConfigError(f"SLUICEGATE_STATE: {folder} cannot be used: {error}") from error
        self._folder = folder
        self._max_bytes = max_bytes
        # Number -> bytes and records, the oldest first.
        self._segments = {int(path.stem): _size(path) for path in sorted(folder.glob("*.spool"))}
        self._bytes = sum(size for size, _ in self._segments.values())
        self._records = sum(count for _, count in self._segments.values())
        self._next = max(self._segments, default=0) + 1
        self._tail: int | None = None
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Records in segments that are not drained yet."""
        return self._records

    async def put(self, record: bytes) -> None:
        """Returns when the record is on disk. SpoolFull: it is not, and never will be."""
        if self._bytes + len(record) + HEAD.size > self._max_bytes:
            raise SpoolFull(f"Redis is away, and the spool in {self._folder} is full with {self._bytes} bytes")
        self._bytes += len(record) + HEAD.size
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((record, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(written)

    async def _write(self) -> None:
        """Writes what waits, many records with one fsync, until nothing waits."""
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            packed = b"".join(HEAD.pack(len(record), zlib.crc32(record)) + record for record, _ in batch)
            tail = self._open_tail()
            size, count = self._segments[tail]
            try:
                await asyncio.to_thread(_append, self._path(tail), packed, size)
            except OSError as error:
                self._bytes -= len(packed)
                if not await asyncio.to_thread(_cut_back, self._path(tail), size):
                    self._tail = None  # It may end in half a record, and nothing may come after that.
                self._fail(batch, error)
            else:
                self._segments[tail] = size + len(packed), count + len(batch)
                self._records += len(batch)
                for _, written in batch:
                    written.set_result(None)
        self._writing = None

    def _fail(self, batch: list[tuple[bytes, "asyncio.Future[None]"]], error: OSError) -> None:
        for _, written in batch:
            full = SpoolFull(f"Redis is away, and the spool in {self._folder} cannot be written: {error}")
            full.__cause__ = error
            written.set_exception(full)

    def _open_tail(self) -> int:
        """The segment that is written to: a new one where there is none, or the last one is large enough."""
        if self._tail is None or self._segments[self._tail][0] >= SEGMENT_BYTES:
            self._tail, self._next = self._next, self._next + 1
            self._segments[self._tail] = 0, 0
        return self._tail

    async def head(self) -> list[bytes]:
        """The records of the oldest segment, all of them; empty if the spool is. Nothing is written to it any more."""
        while self._segments:
            oldest = next(iter(self._segments))
            if oldest == self._tail:
                while self._writing is not None:
                    await asyncio.wait([self._writing])
                self._tail = None
            whole = await asyncio.to_thread(_whole, self._path(oldest))
            if whole:
                return whole
            await self.forget_head()
        return []

    async def forget_head(self) -> None:
        """The records of the oldest segment are in Redis."""
        oldest = next(iter(self._segments))
        size, count = self._segments.pop(oldest)
        await asyncio.to_thread(_remove, self._path(oldest))
        self._bytes -= size
        self._records -= count

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012d}.spool"

    def close(self) -> None:
        os.close(self._lock)


def records(path: Path) -> Iterator[bytes]:
    """The whole records of a segment, up to the first that a crash cut off."""
    content = path.read_bytes()
    at = 0
    while at + HEAD.size <= len(content):
        length, checksum = HEAD.unpack_from(content, at)
        record = content[at + HEAD.size : at + HEAD.size + length]
        if len(record) < length or zlib.crc32(record) != checksum:
            log.warning("%s ends in the middle of a record at byte %d; it was never acknowledged", path, at)
            return
        yield record
        at += HEAD.size + length


def _append(path: Path, packed: bytes, size: int) -> None:
    """Puts whole records behind the first `size` bytes of a segment, which are all of it, on disk when it returns."""
    with path.open("ab") as segment:
        segment.write(packed)
        segment.flush()
        os.fsync(segment.fileno())
    if not size:
        _sync_folder(path.parent)


def _cut_back(path: Path, size: int) -> bool:
    """Takes back what was written in vain behind the first `size` bytes; False if that cannot be done either."""
    try:
        if path.exists():
            os.truncate(path, size)
    except OSError as error:
        log.warning("%s may end in half a record: %s", path, error)
        return False
    return True


def _size(path: Path) -> tuple[int, int]:
    """Bytes and whole records of a segment."""
    return path.stat().st_size, len(_whole(path))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _whole(path: Path) -> list[bytes]:
    """Its records; none of a segment that the disk had no room to begin."""
    return list(records(path)) if path.exists() else []


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
