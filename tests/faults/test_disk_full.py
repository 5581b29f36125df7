"""A state folder on a disk that is full, under a real sidecar, with Redis away. Ends with the account."""

import asyncio
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from asked import AGENT, account_of, assigned, kill, known, record, record_by
from needed import need_root
from processes import Sidecar, sidecar
from told import EXPERIMENT, POLICY, a_session

from sluicegate_cli.embedded import EmbeddedValkey, embedded_valkey

OWN_DISK = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1m,nr_inodes=16 tmpfs "$0" && exec "$@"')
"""Runs the command behind the folder with a disk of 1 MiB and 16 files there, which it takes along when it ends."""


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with embedded_valkey(tmp_path / "valkey") as server:
        yield server


def _fill(disk: Path, with_what: str) -> list[Path]:
    """Takes all the room there is, of bytes or of files; what is to be removed for there to be some again."""
    ballast = [disk / f"ballast-{number}" for number in range(1 if with_what == "bytes" else 16)]

    def fill() -> None:
        for path in ballast:
            path.write_bytes(bytes(2**20) if with_what == "bytes" else b"")

    with pytest.raises(OSError, match="No space left"):
        fill()
    return [path for path in ballast if path.exists()]


def _counted(running: Sidecar) -> dict[str, int]:
    """What /metrics says of sessions: outcome → how many."""
    with urllib.request.urlopen(f"http://{running.admin}/metrics", timeout=10) as page:
        told = page.read().decode()
    found: Counter[str] = Counter()
    for line in re.findall(r"^sluicegate_sessions_total\{.*$", told, re.MULTILINE):
        named = re.search(r'outcome="(\w+)"', line)
        assert named
        found[named[1]] += int(float(line.rpartition(" ")[2]))
    return found


@pytest.mark.parametrize("with_what", ["bytes", "files"])
async def test_a_full_disk_refuses_by_name_and_loses_nothing(
    valkey: EmbeddedValkey, tmp_path: Path, with_what: str
) -> None:
    """No byte, or no file, is left: RESOURCE_EXHAUSTED, counted; callers are assigned; with room again all is taken."""
    need_root("unshare", "mount")
    (tmp_path / "resources.yaml").write_text(f"{POLICY}---\n{EXPERIMENT}")
    (tmp_path / "state").mkdir()
    config, state = str(tmp_path / "resources.yaml"), str(tmp_path / "state")
    async with (
        sidecar(valkey.url, AGENT, within=(*OWN_DISK, state), config=config, state=state) as running,
        grpc.aio.insecure_channel(running.target) as channel,
    ):
        disk = Path(f"/proc/{running.program.process.pid}/root{state}")
        before = await assigned(running, "v-0")
        await kill(valkey)
        spooled = [f"s-{n}" for n in range(10)] if with_what == "bytes" else []
        assert await record(running, *spooled) == ["ACCEPTED"] * len(spooled)
        ballast = await asyncio.to_thread(_fill, disk, with_what)
        # Sessions of 20 KB: what is left of the last page of the disk has no room for them.
        wanted = [a_session(f"full-{n}", content="x" * 20_000) for n in range(30)]
        refused = await asyncio.gather(*(record_by(channel, session) for session in wanted))
        assert refused == ["RESOURCE_EXHAUSTED"] * 30
        assert await assigned(running, "v-1") == before
        counted = await asyncio.to_thread(_counted, running)
        assert (counted["SpoolFull"], counted["accepted"]) == (30, len(spooled))
        for path in ballast:
            path.unlink()
        assert [await record_by(channel, session) for session in wanted] == ["ACCEPTED"] * 30
        await asyncio.to_thread(valkey.revive)
        account = await account_of(valkey.url, len(spooled) + 30, disk)
        await known(running, *spooled, "full-7")
    assert account.balanced
    assert account.waiting == len(spooled) + 30
