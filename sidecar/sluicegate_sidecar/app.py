"""The one place where the parts of the data plane are built and joined, for each of its two processes."""

import asyncio
import contextlib
import gc
import logging
import os
import random
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from redis.asyncio import Redis

from sluicegate.keys import JUDGES, Keys
from sluicegate.policy import Policy
from sluicegate.records import ScoreRecord
from sluicegate.snapshot import gate_table
from sluicegate.v1 import (
    assignment_pb2,
    assignment_pb2_grpc,
    quality_pb2,
    quality_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)
from sluicegate_sidecar import child, unix_socket
from sluicegate_sidecar.admin import Admin
from sluicegate_sidecar.config import Config, has_judge
from sluicegate_sidecar.ending import ending
from sluicegate_sidecar.errors import ConfigError, RedisAway
from sluicegate_sidecar.gating.report import Reports
from sluicegate_sidecar.gating.score_log import ScoreLog
from sluicegate_sidecar.gating.window import Windows
from sluicegate_sidecar.judging.jobs import Job, Jobs
from sluicegate_sidecar.judging.ledger import Ledger
from sluicegate_sidecar.judging.worker import Worker
from sluicegate_sidecar.redis_client import connected
from sluicegate_sidecar.routing.file_source import FileSource
from sluicegate_sidecar.routing.in_force import InForce
from sluicegate_sidecar.routing.last_good import LastGood
from sluicegate_sidecar.routing.pins import Pins
from sluicegate_sidecar.routing.redis_source import RedisSource
from sluicegate_sidecar.routing.router import Router
from sluicegate_sidecar.server.assignments import AssignmentServicer
from sluicegate_sidecar.server.guard import Guarded
from sluicegate_sidecar.server.quality import QualityServicer
from sluicegate_sidecar.server.sessions import SessionServicer
from sluicegate_sidecar.sessions import reaper
from sluicegate_sidecar.sessions.feedback import Feedback
from sluicegate_sidecar.sessions.keeper import Keeper
from sluicegate_sidecar.sessions.recorder import Recorder
from sluicegate_sidecar.sessions.session import CapturedSession
from sluicegate_sidecar.sessions.spool import Spool
from sluicegate_sidecar.sessions.stream import SessionStream
from sluicegate_sidecar.telemetry import JudgeTelemetry, Telemetry

READY_SECONDS = 10.0
"""An agent is never kept from starting for longer, Redis or not."""
GRACE_SECONDS = 5.0
DRAIN_SECONDS = 10.0
TICK_SECONDS = 10.0

log = logging.getLogger(__name__)


async def serve(config: Config, *, with_parent: bool) -> None:
    """The sidecar, until it is told to stop. OSError names an address that cannot be bound."""
    in_force, keys = InForce(), Keys(config.namespace, config.agent)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connected(config.redis_url, keys, config.redis_credentials))
        keeper = Keeper(SessionStream(redis, keys, config.limits), open_spool(config, stack), in_force.clock.now)
        followers = follow(config, redis, keys, in_force)
        telemetry = Telemetry()
        stack.callback(telemetry.close)
        server, healthy = build_server(config, redis, keys, in_force, keeper, telemetry)
        listening = [bind(server, address) for address in config.listen]
        admin = Admin(config.admin)
        stack.callback(admin.close)
        stack.push_async_callback(keeper.drain_within, DRAIN_SECONDS)
        await server.start()
        stack.push_async_callback(server.stop, GRACE_SECONDS)
        for work in (*followers, keeper.drain):
            await stack.enter_async_context(background(work))
        await stack.enter_async_context(background(lambda: beat(admin)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                await in_force.loaded.wait()
                await in_force.keyed.wait()
        if not in_force.loaded.is_set():
            log.warning("no snapshot after %g s; serving without assignments", READY_SECONDS)
        if not in_force.keyed.is_set():
            log.warning("no answer from Redis after %g s; no session can be taken until there is one", READY_SECONDS)
        # What is there now stays. Looking through it for garbage time and again would be a wait in somebody's Assign.
        gc.collect()
        gc.freeze()
        await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
        admin.started()
        log.info("serving agent %s on %s, admin on %s", config.agent, ", ".join(listening), admin.address)
        if config.judge == "inline" and has_judge(os.environ):
            # A process of its own: the judge's client takes 0.6 s and 40 MiB to import and milliseconds of every
            # second to run, each of which would be a wait in somebody's Assign.
            await stack.enter_async_context(background(lambda: child.supervise("judge", {})))
        elif config.judge == "inline":
            log.warning("neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: nothing is judged here")
        await told_to_stop(with_parent=with_parent)
        await healthy.enter_graceful_shutdown()


async def judge(config: Config, *, with_parent: bool) -> None:
    """A judge worker, until it is told to stop. One that ends with its parent has no admin listener of its own."""
    if not has_judge(os.environ):
        raise ConfigError("OPENAI_API_KEY: not set; give a key, or OPENAI_BASE_URL for an endpoint that needs none")
    # 0.6 s and 40 MiB that only a judge pays.
    from sluicegate_sidecar.judging.openai_judge import OpenAIJudge

    if with_parent:
        # What it computes from here on can wait; what its parent computes is a wait in somebody's Assign.
        os.nice(child.LOW_PRIORITY)
    in_force, keys = InForce(), Keys(config.namespace, config.agent)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(connected(config.redis_url, keys, config.redis_credentials))
        for follower in follow(config, redis, keys, in_force):
            await stack.enter_async_context(background(follower))
        llm = OpenAIJudge(os.environ.get("OPENAI_API_KEY") or "none", os.environ.get("OPENAI_BASE_URL") or None)
        stack.push_async_callback(llm.close)
        if not with_parent:
            admin = Admin(config.admin)
            stack.callback(admin.close)
            admin.started()
            await stack.enter_async_context(background(lambda: beat(admin)))
        telemetry = JudgeTelemetry()
        stack.callback(telemetry.close)
        windows = Windows(redis, keys, JUDGES)

        async def emit(job: Job, session: CapturedSession, record: ScoreRecord, policy: Policy) -> None:
            await windows.score(job.entry_id, session.recorded_day, record, gate_table(policy))

        jobs, ledger = Jobs(redis, keys, consumer_name()), Ledger(redis, keys)
        worker = Worker(jobs, llm, lambda: in_force.snapshot.policy, emit, ledger.reached, telemetry.called)

        async def judging() -> None:
            await in_force.loaded.wait()
            await worker.run()

        sessions = SessionStream(redis, keys, config.limits)
        await stack.enter_async_context(background(lambda: tick(windows, in_force)))
        await stack.enter_async_context(background(lambda: reaper.reap(sessions, config.idle_seconds)))
        await stack.enter_async_context(background(judging))
        log.info("judging for agent %s", config.agent)
        await told_to_stop(with_parent=with_parent)


def build_server(
    config: Config, redis: Redis, keys: Keys, in_force: InForce, keeper: Keeper, telemetry: Telemetry
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """The gRPC server with all its services, not yet bound. Health says NOT_SERVING until told otherwise."""
    # Without so_reuseport=0 a second sidecar could bind the same port and take half of the calls, unnoticed.
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", config.limits.request_bytes)]
    server = grpc.aio.server(options=options)
    guarded = cast(grpc.aio.Server, Guarded(server))
    pins, clock = Pins(), in_force.clock.now
    router, recorder = Router(in_force, pins), Recorder(in_force, pins, keeper, telemetry.redacted, config.limits)
    assigns = AssignmentServicer(config.agent, router, telemetry, clock)
    assignment_pb2_grpc.add_AssignmentServiceServicer_to_server(assigns, guarded)
    takes = SessionServicer(config.agent, recorder, Feedback(redis, keys), telemetry, clock)
    session_pb2_grpc.add_SessionServiceServicer_to_server(takes, guarded)
    score_log, reports = ScoreLog(redis, keys), Reports(redis, keys)
    quality = QualityServicer(config.agent, Windows(redis, keys, JUDGES), score_log, reports, clock)
    quality_pb2_grpc.add_QualityServiceServicer_to_server(quality, guarded)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    files = (assignment_pb2, session_pb2, quality_pb2)
    names = [service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return server, healthy


def bind(server: grpc.aio.Server, address: str) -> str:
    """Binds one address and tells it with the port that was got; OSError if it cannot be had."""
    socket_path = Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
    try:
        if socket_path:
            # gRPC would take the place of whoever is there, living or not.
            unix_socket.clear(socket_path)
        port = server.add_insecure_port(address)
        if socket_path:
            unix_socket.open_as_folder(socket_path)
    except (RuntimeError, OSError) as error:
        raise OSError(f"SLUICEGATE_LISTEN: {address} cannot be bound; is it in use? ({error})") from error
    return address if socket_path else f"{address.rpartition(':')[0]}:{port}"


def follow(config: Config, redis: Redis, keys: Keys, in_force: InForce) -> list[Callable[[], Awaitable[None]]]:
    """What keeps `in_force` up to date. ConfigError if resource files were given and cannot be used."""
    last_good = LastGood(Path(config.state)) if config.state else None
    if not config.config_path:
        return [RedisSource(redis, keys, in_force, snapshots=True, last_good=last_good).follow]
    files = FileSource(config.config_path, config.namespace, config.agent, in_force)
    files.load()
    return [files.follow, RedisSource(redis, keys, in_force, snapshots=False, last_good=last_good).follow]


def open_spool(config: Config, stack: AsyncExitStack) -> Spool | None:
    """The spool in the state folder; ConfigError if it cannot be used."""
    if not config.state:
        log.warning("SLUICEGATE_STATE is not set: no session is taken while Redis is away")
        return None
    spool = Spool(Path(config.state) / "spool", config.limits.spool_bytes)
    stack.callback(spool.close)
    return spool


def consumer_name() -> str:
    """Unique to this process: a name that two shared would let one acknowledge what the other has in hand."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


@asynccontextmanager
async def background(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Runs `work` beside the body, and ends it with the body. If it fails by itself, that is a bug, and told."""

    async def run() -> None:
        try:
            await work()
        except Exception:
            log.exception("a part of the sidecar failed; stopping")
            signal.raise_signal(signal.SIGTERM)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def beat(admin: Admin) -> None:
    while True:
        admin.beat()
        await asyncio.sleep(1)


async def tick(windows: Windows, in_force: InForce) -> None:
    """Lets time pass in windows that get no scores: old ones leave, and gates change."""
    await in_force.loaded.wait()
    while not ending():
        await asyncio.sleep(TICK_SECONDS * random.uniform(0.8, 1.2))
        try:
            await windows.tick(gate_table(in_force.snapshot.policy))
        except RedisAway as error:
            log.warning("%s; the gates stand still", error)


async def told_to_stop(*, with_parent: bool) -> None:
    """Returns at SIGTERM or SIGINT, or when the parent is gone, for a process that ends with it."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(stopped.wait())]
    if with_parent:
        waiting.append(asyncio.create_task(child.parent_gone()))
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
