import asyncio
import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate_sidecar.errors import ConfigError, SpoolFull
from sluicegate_sidecar.sessions.spool import SEGMENT_BYTES, Spool


async def _drained(spool: Spool) -> list[bytes]:
    """Everything in the spool, in order, as a drain takes it."""
    found: list[bytes] = []
    while head := await spool.head():
        found += head
        await spool.forget_head()
    return found


async def test_records_come_back_in_order_and_once(tmp_path: Path) -> None:
    """What was put comes back in the same order, over several segments; after that the folder is empty."""
    spool = Spool(tmp_path)
    records = [os.urandom(100_000) for _ in range(30)]
    for record in records:
        await spool.put(record)
    assert len(spool) == 30
    assert len(os.listdir(tmp_path)) > 3, f"segments are of {SEGMENT_BYTES} bytes"
    assert await _drained(spool) == records
    assert len(spool) == 0
    assert os.listdir(tmp_path) == ["lock"]


async def test_records_outlive_the_process(tmp_path: Path) -> None:
    """A spool that is opened again has what was put and not drained, and goes on behind it."""
    first = Spool(tmp_path)
    await asyncio.gather(*(first.put(b"%d" % number) for number in range(100)))
    first.close()
    second = Spool(tmp_path)
    assert len(second) == 100
    await second.put(b"100")
    assert await _drained(second) == [b"%d" % number for number in range(101)]


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(min_value=0, max_value=60), garbage=st.binary(max_size=40))
def test_a_record_that_a_crash_cut_off_is_dropped(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    """Whatever stands at the end of a segment after a crash, the whole records before it come back, and no others."""
    folder = tmp_path_factory.mktemp("spool")
    records = [b"first record", b"second record", b"third record"]

    async def write() -> None:
        spool = Spool(folder)
        for record in records:
            await spool.put(record)
        spool.close()

    async def read() -> list[bytes]:
        spool = Spool(folder)
        try:
            return await _drained(spool)
        finally:
            spool.close()

    asyncio.run(write())
    (segment,) = folder.glob("*.spool")
    content = segment.read_bytes()
    segment.write_bytes(content[: len(content) - cut] + (garbage if cut else b""))
    found = asyncio.run(read())
    assert found == records[: len(found)]
    assert cut or found == records


async def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    """Over its limit a record is refused by name; once drained, there is room again."""
    spool = Spool(tmp_path, max_bytes=100)
    await spool.put(b"x" * 60)
    with pytest.raises(SpoolFull, match="full with 68 bytes"):
        await spool.put(b"y" * 60)
    assert await _drained(spool) == [b"x" * 60]
    await spool.put(b"y" * 60)
    assert await _drained(spool) == [b"y" * 60]


async def test_a_full_disk_refuses_and_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes no more is an error for those who wait, and only for them; nothing else is lost."""
    spool = Spool(tmp_path)
    await spool.put(b"before")

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_space)
        with pytest.raises(SpoolFull, match="No space left on device"):
            await spool.put(b"during")
    await spool.put(b"after")
    found = await _drained(spool)
    assert [record for record in found if record != b"during"] == [b"before", b"after"]


async def test_a_disk_that_fills_in_the_middle_of_a_batch_loses_count_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole records that reached the disk before it was full were refused: they are taken back, not counted twice."""
    spool = Spool(tmp_path)
    await spool.put(b"before")

    def full(path: Path, packed: bytes, size: int) -> None:
        with path.open("ab") as segment:
            segment.write(packed[:-3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("sluicegate_sidecar.sessions.spool._append", full)
        refused = await asyncio.gather(*(spool.put(b"%d" % n) for n in range(10)), return_exceptions=True)
    assert [type(outcome) for outcome in refused] == [SpoolFull] * 10
    await spool.put(b"after")
    assert len(spool) == 2
    assert sorted(os.listdir(tmp_path)) == ["000000000001.spool", "lock"]
    assert await _drained(spool) == [b"before", b"after"]
    assert len(spool) == 0


async def test_a_disk_without_room_for_a_file_refuses_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an empty segment: refused, with nothing to be drained; and with room again it is taken."""
    spool = Spool(tmp_path)

    def no_room(path: Path, packed: bytes, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("sluicegate_sidecar.sessions.spool._append", no_room)
        for _ in range(3):
            with pytest.raises(SpoolFull):
                await spool.put(b"x")
    assert await _drained(spool) == []
    await spool.put(b"y")
    assert await _drained(spool) == [b"y"]


async def test_records_put_during_a_drain_are_not_lost(tmp_path: Path) -> None:
    """Puts and drains at the same time: every record comes out once, in the order of its putting."""
    spool = Spool(tmp_path)
    found: list[bytes] = []
    done = asyncio.Event()

    async def put() -> None:
        for number in range(300):
            await spool.put(b"%d" % number)
        done.set()

    async def drain() -> None:
        while not done.is_set() or len(spool):
            for record in await spool.head():
                found.append(record)
            if len(spool):
                await spool.forget_head()
            await asyncio.sleep(0)

    await asyncio.gather(put(), drain())
    assert found == [b"%d" % number for number in range(300)]


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    """A second spool in the same folder is refused by the setting's name, and so is a folder that cannot be."""
    first = Spool(tmp_path)
    with pytest.raises(ConfigError, match=r"SLUICEGATE_STATE: .* belongs to another running sidecar"):
        Spool(tmp_path)
    first.close()
    Spool(tmp_path).close()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="SLUICEGATE_STATE"):
        Spool(tmp_path / "file")
