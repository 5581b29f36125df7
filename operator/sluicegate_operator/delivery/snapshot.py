"""Writes the snapshot of an agent, and the controller's state with it, by compare-and-set."""

from collections.abc import Iterable
from importlib.resources import files

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluicegate.experiment import ExperimentInForce
from sluicegate.keys import Keys
from sluicegate.policy import Policy
from sluicegate.records import Halt, Notice
from sluicegate.snapshot import VersionedExperiment, VersionedPolicy, gate_table, pack, pack_table
from sluicegate_operator.errors import Outrun, RedisAway, Unreadable
from sluicegate_operator.rollout.state import RolloutState


class Delivery:
    """The snapshot of one agent, as the control plane writes it."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._put = redis.register_script(files(__package__).joinpath("put.lua").read_text())

    async def read(self) -> tuple[VersionedPolicy | None, VersionedExperiment | None, dict[str, RolloutState]]:
        """What is stored: the policy, the experiment, and the state of every experiment ever seen."""
        try:
            fields, states = (
                await self._redis.pipeline().hgetall(self._keys.snapshot).hgetall(self._keys.rollout).execute()
            )
        except (RedisError, OSError) as error:
            raise RedisAway(f"the snapshot cannot be read: {error}") from error
        try:
            return (
                msgspec.msgpack.decode(fields[b"policy"], type=VersionedPolicy) if b"policy" in fields else None,
                msgspec.msgpack.decode(fields[b"experiment"], type=VersionedExperiment)
                if b"experiment" in fields
                else None,
                {name.decode(): msgspec.msgpack.decode(state, type=RolloutState) for name, state in states.items()},
            )
        except msgspec.MsgspecError as error:
            raise Unreadable(f"{self._keys.snapshot} or {self._keys.rollout} cannot be read: {error}") from error

    async def put_policy(self, policy: Policy, expected: int, version: int) -> None:
        """Writes the policy over the one of version `expected`; Outrun if that is not what is stored."""
        await self._write(
            [
                "policy",
                expected,
                pack(VersionedPolicy(version=version, policy=policy)),
                pack_table(gate_table(policy)),
                "",
                "",
            ]
        )

    async def put_experiment(
        self, experiment: ExperimentInForce | None, state: RolloutState | None, expected: int, version: int
    ) -> None:
        """Writes the experiment (None: there is none any more) over version `expected`, and the state with it."""
        value = pack(VersionedExperiment(version=version, experiment=experiment))
        name, kept = (state.experiment, pack(state)) if state else ("", b"")
        await self._write(["experiment", expected, value, b"", name, kept])

    async def put_halts(self, halts: Iterable[Halt]) -> None:
        """Writes halts that are not there, and tells every sidecar. One that is there stays as it is."""
        pipe = self._redis.pipeline(transaction=True)
        for halt in halts:
            pipe.hsetnx(self._keys.halts, halt.series, pack(halt))
            pipe.publish(self._keys.notices, pack(Notice(halt=halt)))
        try:
            await pipe.execute()
        except (RedisError, OSError) as error:
            raise RedisAway(f"halts cannot be written: {error}") from error

    async def _write(self, args: list[str | int | bytes]) -> None:
        try:
            written = await self._put(
                keys=[self._keys.snapshot, self._keys.rollout], args=[*args, self._keys.notices, pack(Notice())]
            )
        except (RedisError, OSError) as error:
            raise RedisAway(f"the snapshot cannot be written: {error}") from error
        if not written:
            raise Outrun(f"{self._keys.snapshot} was written by another controller; looking again")
