"""The one place where the parts of the operator are built and joined."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import kopf
from redis.asyncio import Redis

from sluicegate.keys import Keys
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.cluster import handlers
from sluicegate_operator.cluster.admin import admin
from sluicegate_operator.cluster.api import Access, Object, api
from sluicegate_operator.cluster.desk import Desk
from sluicegate_operator.cluster.events import Events
from sluicegate_operator.cluster.inventory import Inventory
from sluicegate_operator.cluster.known import Kind, KnownResources
from sluicegate_operator.cluster.lease import Lease
from sluicegate_operator.cluster.queue import AgentKey, AgentQueue
from sluicegate_operator.cluster.redis_access import RedisAccess
from sluicegate_operator.cluster.redis_sight import RedisSight
from sluicegate_operator.cluster.work import Work
from sluicegate_operator.cluster.writes import StatusWrites
from sluicegate_operator.config import Config
from sluicegate_operator.delivery.reports import Reports
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.errors import ConfigError, ControlError

STUCK_SECONDS = 60.0
"""The work is alive as long as something due is taken off the queue within this."""
BEAT_SECONDS = 5.0
END_SECONDS = 3.0
"""A part that does not end by then is left behind."""

Connect = Callable[[Keys], AbstractAsyncContextManager[Redis]]
"""A client of Redis for the keys of one agent."""

log = logging.getLogger(__name__)


async def run(config: Config, connect: Connect) -> None:
    """Runs the operator until SIGTERM or SIGINT. ConfigError if it cannot begin."""
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(_operator(config, connect))
        address = await stack.enter_async_context(
            admin(config.admin, operator.is_alive, lambda: operator.has_started, operator.metrics)
        )
        log.info("probes and metrics on %s", address)
        tasks, stopped = asyncio.create_task(operator.work_forever()), asyncio.Event()
        # Half an operator would look alive and do nothing.
        tasks.add_done_callback(lambda _: stopped.set())

        async def ended() -> None:
            tasks.cancel()
            await asyncio.wait({tasks}, timeout=END_SECONDS)
            await operator.lease.release()

        namespaces = config.watch_namespaces
        try:
            await kopf.operator(
                registry=handlers.registry(operator.seen, _connection, operator.served, ended),
                settings=handlers.settings(),
                clusterwide=not namespaces,
                namespaces=namespaces,
                # Or kopf asks for the name of its user, and in the image there is none.
                identity=config.lease_name,  # type: ignore[arg-type]
                stop_flag=stopped,
            )
        finally:
            await ended()
        if tasks.done() and not tasks.cancelled() and (fault := tasks.exception()):
            raise fault


class _Operator:
    """The parts at work."""

    def __init__(
        self,
        queue: AgentQueue,
        known: KnownResources,
        inventory: Inventory,
        lease: Lease,
        sight: RedisSight,
        work: Work,
        events: Events,
        namespaces: tuple[str, ...],
    ) -> None:
        self._queue = queue
        self._known = known
        self._inventory = inventory
        self.lease = lease
        self._sight = sight
        self._work = work
        self._events = events
        self._namespaces = namespaces
        self.writes: Callable[[], int] = lambda: 0
        self.access: RedisAccess | None = None
        self.has_started = False
        self._is_served = asyncio.Event()
        self._beat = time.monotonic()

    def seen(self, kind: Kind, is_gone: bool, body: Object) -> None:
        """A hint of kopf's."""
        metadata = body["metadata"]
        name = (kind, metadata["namespace"], metadata["name"])
        self._wake(self._known.drop(name) if is_gone else self._known.take(kind, body))

    async def served(self) -> None:
        """Returns once there is something to watch: kopf would not notice definitions that come later."""
        await self._inventory.served()
        self._is_served.set()

    async def work_forever(self) -> None:
        """Until cancelled. Nothing is looked at before everything is known: what is not known would be deleted."""
        await self._is_served.wait()
        await self._inventory.take_all()
        self.has_started = True
        log.info("knows %d agents", len(self._known.agents()))
        async with asyncio.TaskGroup() as tasks:
            for part in (
                self.lease.keep(self._begin),
                self._sight.follow_epoch(self._redis_is_back),
                self._sight.follow_logs(self._known.agents, self._work.wake),
                self._inventory.follow(self._wake),
                self._remember_deleted(),
                self._work.run(),
                self._events.post_forever(),
                self._keep_beating(),
            ):
                tasks.create_task(part)

    def _begin(self) -> None:
        self._work.wake_all()

    def _redis_is_back(self) -> None:
        if self.access:
            self.access.forget()
        self._work.wake_all()

    def _wake(self, agents: Iterable[AgentKey]) -> None:
        for key in agents:
            self._queue.add(key)

    async def _remember_deleted(self) -> None:
        """Agents whose resources went while no operator was there."""
        while True:
            try:
                remembered = await self._sight.remembered()
            except ControlError as error:
                log.debug("%s; trying again", error)
                await asyncio.sleep(BEAT_SECONDS)
                continue
            # What is in namespaces of other operators, on the same Redis, is theirs.
            own = {key for key in remembered if not self._namespaces or key.namespace in self._namespaces}
            self._wake(own - self._known.agents())
            return

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def is_alive(self) -> bool:
        """Whether the loop turns, and what is due is taken off the queue."""
        now = time.monotonic()
        if not self.has_started:
            return True
        is_idle = len(self._queue) == 0 or not self.lease.is_held()
        return now - self._beat < STUCK_SECONDS and (is_idle or now - self._work.beat < STUCK_SECONDS)

    def metrics(self) -> dict[str, float]:
        return {
            "sluicegate_operator_agents": len(self._known.agents()),
            "sluicegate_operator_queue_due": len(self._queue),
            "sluicegate_operator_looks_total": self._work.looks,
            "sluicegate_operator_status_writes_total": self.writes(),
            "sluicegate_operator_leads": float(self.lease.is_held()),
            "sluicegate_operator_redis_away_seconds": self._sight.away_seconds(),
        }


@asynccontextmanager
async def _operator(config: Config, connect: Connect) -> AsyncIterator[_Operator]:
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(api(_access))
        except kopf.LoginError as error:
            raise ConfigError(f"KUBECONFIG: {error}; run in a pod with a service account, or set it") from error
        own = await stack.enter_async_context(connect(Keys("", "operator")))

        async def redis_of(key: AgentKey) -> tuple[Delivery, Scores, Reports]:
            keys = Keys(key.namespace, key.agent)
            redis = await stack.enter_async_context(connect(keys)) if config.is_redis_cluster else own
            return Delivery(redis, keys), Scores(redis, keys), Reports(redis, keys)

        known = KnownResources()
        queue = AgentQueue(time.monotonic)
        lease = Lease(client, config.lease_namespace, config.lease_name)
        sight = RedisSight(own, is_cluster=config.is_redis_cluster)
        writes = StatusWrites(client, known, lease)
        events = Events(client)
        desk = Desk(client, known, writes, events, redis_of)
        managed = config.redis_access == "managed"
        access = RedisAccess(client, own, judges=config.judge_mode == "sidecar") if managed else None
        work = Work(queue, desk, known, lease, sight, access)
        inventory = Inventory(client, known, config.watch_namespaces)
        operator = _Operator(queue, known, inventory, lease, sight, work, events, config.watch_namespaces)
        operator.writes = lambda: writes.count
        operator.access = access
        yield operator


def _connection() -> kopf.ConnectionInfo:
    """The pod's service account, or else the kubeconfig of whoever runs it."""
    settings = kopf.OperatorSettings()
    try:
        found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    except Exception as error:
        # Whatever a file that is missing, or not what it should be, makes of it.
        raise kopf.LoginError(f"it cannot be read: {error!r}") from error
    if found is None:
        raise kopf.LoginError("there is neither a service account nor a kubeconfig")
    return found


def _access() -> Access:
    connection = _connection()
    return Access(connection.server.rstrip("/"), connection.as_http_headers(), connection.as_ssl_context())
