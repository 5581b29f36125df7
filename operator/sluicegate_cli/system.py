"""Everything on one machine: an embedded Valkey, a sidecar with its judge, and the controller over resource files."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from redis.asyncio import Redis

from sluicegate.keys import Keys
from sluicegate.resources.errors import ResourceErrors
from sluicegate.resources.load import Resources
from sluicegate.resources.watch import ForAgent, WatchedFiles, for_agent
from sluicegate_cli.embedded import EmbeddedValkey, embedded_valkey
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.reports import Reports
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.errors import ControlError, Outrun
from sluicegate_operator.publishing import Publishing
from sluicegate_operator.rollout.state import RolloutState
from sluicegate_operator.rollout.transitions import Transition
from sluicegate_operator.standalone import Controller
from sluicegate_sidecar.child import supervise
from sluicegate_sidecar.ending import ending
from sluicegate_sidecar.redis_client import connected

LOOK_SECONDS = 1.0
"""The controller looks at least so often; a gate that changes wakes it at once."""

SIDECAR_LOG = "sidecar.log"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to run, and where."""

    files: Sequence[Path]
    data: Path
    """The embedded Valkey's data, and the log of the sidecar and its judge."""
    redis_url: str
    """Empty: an embedded Valkey with its data in `data`."""
    listen: str
    admin: str
    namespace: str
    agent: str
    """Empty: the only one that the files name."""
    judge_environment: dict[str, str]
    """OPENAI_BASE_URL and OPENAI_API_KEY, where they differ from this process's own."""


@dataclass(frozen=True, slots=True)
class Running:
    """A system at work."""

    target: str
    """The sidecar's gRPC address."""
    redis_url: str
    agent: str
    redis: Redis
    keys: Keys
    state: Callable[[], RolloutState | None]
    """The experiment's state at the controller's last look."""


@asynccontextmanager
async def running(settings: Settings, tell: Callable[[Transition], None]) -> AsyncIterator[Running]:
    """Runs until the body ends; ClickException if the files or an address cannot be used."""
    files = WatchedFiles(settings.files)
    try:
        resources = files.read()
    except ResourceErrors as errors:
        raise click.ClickException(str(errors)) from errors
    assert resources is not None
    agent = settings.agent or _only_agent(resources, settings.namespace)
    check_free(settings.listen, settings.admin)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"--data: {settings.data} cannot be made: {error.strerror}") from error
    async with AsyncExitStack() as stack:
        url = settings.redis_url
        if not url:
            valkey = stack.enter_context(embedded_valkey(settings.data / "valkey"))
            url = valkey.url
            await _beside(stack, _keep_alive(valkey))
        keys = Keys(settings.namespace, agent)
        redis = await stack.enter_async_context(connected(url, keys))
        control = _Control(files, resources, _controller(redis, keys, tell), keys, tell)
        try:
            await control.look()
        except ControlError as error:
            raise click.ClickException(f"--redis: {error}") from error
        environment = {
            "SLUICEGATE_LISTEN": settings.listen,
            "SLUICEGATE_ADMIN": settings.admin,
            "SLUICEGATE_REDIS_URL": url,
            "SLUICEGATE_REDIS_CREDENTIALS": "",
            "SLUICEGATE_NAMESPACE": settings.namespace,
            "SLUICEGATE_AGENT": agent,
            "SLUICEGATE_CONFIG": "",
            "SLUICEGATE_JUDGE": "inline",
            "SLUICEGATE_STATE": str(settings.data.resolve() / "sidecar"),
            **settings.judge_environment,
        }
        sidecar_log = stack.enter_context((settings.data / SIDECAR_LOG).open("ab"))
        await _beside(stack, supervise("sidecar", environment, sidecar_log))
        await _beside(stack, control.run())
        target = settings.listen.split(",")[0]
        await serving(target, settings.data / SIDECAR_LOG)
        yield Running(target, url, agent, redis, keys, lambda: control.state)


def _controller(redis: Redis, keys: Keys, tell: Callable[[Transition], None]) -> Controller:
    scores = Scores(redis, keys)
    return Controller(Delivery(redis, keys), scores, tell, Publishing(Reports(redis, keys), scores))


class _Control:
    """The controller over files: the last good resources, and what was last said of the wrong ones."""

    def __init__(
        self,
        files: WatchedFiles,
        resources: Resources,
        controller: Controller,
        keys: Keys,
        tell: Callable[[Transition], None],
    ) -> None:
        self._files = files
        self._resources = resources
        self._controller = controller
        self._keys = keys
        self._tell = tell
        self._busy: set[str] = set()
        self.state: RolloutState | None = None

    async def run(self) -> None:
        while not ending():
            try:
                self._read()
                await self.look()
                await self._controller.wait(LOOK_SECONDS)
            except Outrun as error:
                log.warning("%s", error)
            except ControlError as error:
                log.warning("%s; trying again", error)
                await asyncio.sleep(LOOK_SECONDS)

    def _read(self) -> None:
        try:
            self._resources = self._files.read() or self._resources
        except ResourceErrors as errors:
            self._tell(Transition("Refused", "", f"{errors}\nthe last good state stays in force"))

    async def look(self) -> None:
        running = self.state.experiment if self.state else await self._controller.running()
        own = for_agent(self._resources, self._keys.namespace, self._keys.agent, running)
        self._tell_of_busy(own)
        self.state = await self._controller.look(own.experiment, own.policy, time.time())

    def _tell_of_busy(self, own: ForAgent) -> None:
        for experiment in own.busy:
            if experiment.name not in self._busy:
                reason = f"the agent is busy with {own.experiment.name if own.experiment else ''}: no traffic"
                self._tell(Transition("Refused", experiment.name, reason))
        self._busy = {experiment.name for experiment in own.busy}


async def _keep_alive(valkey: EmbeddedValkey) -> None:
    while True:
        await asyncio.sleep(1)
        try:
            if await asyncio.to_thread(valkey.revive):
                log.error("the embedded Valkey had died; it is back, with all that it acknowledged")
        except click.ClickException as error:
            log.error("%s; trying again", error.message)


async def _beside(stack: AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Runs `work` until the stack unwinds. If it fails by itself, everything ends: half a system helps nobody."""

    async def run() -> None:
        try:
            await work
        except Exception:
            log.exception("a part of the system failed; ending")
            signal.raise_signal(signal.SIGTERM)

    task = asyncio.create_task(run())

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


def _only_agent(resources: Resources, namespace: str) -> str:
    agents = {e.agent for e in resources.experiments if e.namespace == namespace}
    agents |= {p.agent for p in resources.policies if p.namespace == namespace}
    if len(agents) != 1:
        named = ", ".join(sorted(agents)) or "none"
        raise click.ClickException(f"--agent: the files name {named} in namespace {namespace}; say which one to run")
    return agents.pop()


def check_free(*addresses: str) -> None:
    """ClickException if somebody listens there already; the sidecar would only say so in its log."""
    for address in addresses:
        for part in address.split(","):
            host, colon, port = part.rpartition(":")
            if part.startswith("unix:"):
                continue
            if not colon or not port.isdigit() or not 0 < int(port) < 65536:
                raise click.ClickException(f"{part} is not host:port, with a port from 1 to 65535")
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host.strip("[]"), int(port)))
                except OSError as error:
                    raise click.ClickException(f"{part} cannot be had: {error.strerror}; give another one") from error


async def serving(target: str, its_log: Path) -> None:
    """Returns when the sidecar says that it serves; ClickException if it does not within half a minute."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with grpc.aio.insecure_channel(target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for _ in range(300):
            with contextlib.suppress(grpc.aio.AioRpcError):
                answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.1)
    raise click.ClickException(f"the sidecar at {target} did not come up within half a minute; {its_log} says why")


def free_address() -> str:
    """A loopback address with a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
