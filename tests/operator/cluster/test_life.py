"""The whole life of experiments, with the real operator, a real API server and a real Redis."""

import asyncio
import itertools
import signal
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from api_server import ApiServer, api_server
from captured import eventually
from operators import Experiments, operator
from processes import Program
from ramps import a_record, stored_gates, stored_sums
from redis.asyncio import Redis

from sluicegate.experiment import ExperimentInForce
from sluicegate.keys import Keys, series
from sluicegate.records import Halt
from sluicegate.snapshot import pack
from sluicegate_operator.delivery.snapshot import Delivery

EXPERIMENT = """\
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata: {name: warmer-greeting}
spec:
  agent: receptionist
  runId: "1"
  variants:
    - {name: control, control: true, config: {systemPrompt: "Be polite."}}
    - {name: warm, config: {systemPrompt: "Be warm."}}
  ramp:
    steps: [{weight: 10, minSessions: 20}, {weight: 20, minSessions: 30}, {weight: 100, minSessions: 40}]
    holdback: 5
  analysis: {wait: 1s}
"""
NAME = "warmer-greeting"
NUMBERS = itertools.count(1)


class Bench:
    """An operator at work in a namespace, and the Redis beside it."""

    def __init__(self, redis: Redis, namespace: str, experiments: Experiments) -> None:
        self.redis = redis
        self.keys = Keys(namespace, "receptionist")
        self.experiments = experiments

    async def published(self) -> ExperimentInForce | None:
        _, stored, _ = await Delivery(self.redis, self.keys).read()
        return stored.experiment if stored else None

    async def version(self) -> int:
        _, stored, _ = await Delivery(self.redis, self.keys).read()
        return stored.version if stored else 0

    async def scored(self, count: int, step: int, run_id: str = "1", warm: int = 5, control: int = 3) -> None:
        """So many sessions of each variant, each of a new caller, assigned a while ago; and gates that pass."""
        pipe = self.redis.pipeline(transaction=False)
        for _ in range(count):
            for variant, score in (("warm", warm), ("control", control)):
                session_id = f"session-{next(NUMBERS)}"
                told = {"caller_hash": session_id, "assigned_at": time.time() - 0.5, "weight": 0.5, "run_id": run_id}
                record = a_record(session_id, variant, step, scores={"task_completion": score}, **told)
                pipe.xadd(self.keys.log, {"d": pack(record)})
        pipe.hset(self.keys.gates, series(NAME, run_id, "warm"), stored_gates())
        pipe.hset(self.keys.sums, series(NAME, run_id, "warm"), stored_sums(time.time()))
        await pipe.execute()

    async def halted(self, run_id: str = "1") -> None:
        """The gate script halted the treatment, as it does while no operator is there."""
        halt = Halt(
            series=series(NAME, run_id, "warm"),
            gate="task_completion",
            count=17,
            mean=2.125,
            upper=2.875,
            threshold=3.0,
            severity="critical",
            at=int(time.time() * 1000),
        )
        await self.redis.hset(self.keys.halts, halt.series, pack(halt))
        await self.redis.xadd(self.keys.log, {"d": pack(a_record(f"session-{next(NUMBERS)}"))})


@pytest.fixture
def experiments(cluster: ApiServer, namespace: str) -> Experiments:
    return Experiments(cluster, namespace)


@pytest.fixture
def bench(redis: Redis, namespace: str, experiments: Experiments) -> Bench:
    return Bench(redis, namespace, experiments)


@pytest.fixture
async def at_work(cluster: ApiServer, valkey_url: str, namespace: str) -> AsyncIterator[Program]:
    """An operator that acts."""
    async with operator(cluster, valkey_url, namespace) as running:
        await running.logs("this operator acts")
        yield running


async def test_a_ramp_from_apply_to_the_end(bench: Bench, experiments: Experiments, at_work: Program) -> None:
    """Applied, it starts at its first step; evidence moves it on; at the end everybody gets the treatment."""
    experiments.apply(EXPERIMENT)
    status = await experiments.until(NAME, phase="Ramping", stepText="1/3", weight="10%", runId="1")
    published = await bench.published()
    assert published is not None
    assert (published.weight, published.salt) == (0.1, f"{NAME}/1")
    assert status["snapshotVersion"] == await bench.version()
    for step, text, weight in ((0, "2/3", "20%"), (1, "3/3", "95%")):
        await bench.scored(40, step)
        await experiments.until(NAME, phase="Ramping", stepText=text, weight=weight)
    await bench.scored(40, 2)
    status = await experiments.until(NAME, phase="Complete", weight="100%")
    published = await bench.published()
    assert published is not None
    assert published.winner == "warm"
    await experiments.condition(NAME, "Complete", "True")
    await experiments.told(NAME, "Started", "Advanced", "Advanced", "Complete")


async def test_a_halt_is_recorded(bench: Bench, experiments: Experiments, at_work: Program) -> None:
    """What the gate script did is told with its numbers, control keeps all traffic, and the status keeps the halt."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="Ramping")
    await bench.halted()
    status = await experiments.until(NAME, phase="RolledBack", weight="0%")
    assert "task_completion is 2.12 over 17 sessions" in status["message"]
    assert [halt["series"] for halt in status["halts"]] == [f"{NAME}/1/warm"]
    await experiments.condition(NAME, "RolledBack", "True", "Halted")
    published = await bench.published()
    assert published is not None
    assert published.weight == 0
    await experiments.told(NAME, "Started", "RolledBack")


async def test_harm_is_rolled_back(bench: Bench, experiments: Experiments, at_work: Program) -> None:
    """A treatment that is worse goes back on evidence alone, and the numbers are told."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="Ramping")
    await bench.scored(60, 0, warm=1, control=5)
    status = await experiments.until(NAME, phase="RolledBack")
    assert "worse than control" in status["message"]
    assert status["comparison"]["evidenceForHarm"] >= 20
    by_name = {variant["name"]: variant for variant in status["variants"]}
    assert by_name["warm"]["metrics"] == [{"name": "task_completion", "count": 60, "mean": 1}]


async def test_a_person_promotes_a_step_without_evidence(
    bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """The step that the annotation names is passed, once; another one is not, and the status says what became of it."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, stepText="1/3")
    experiments.annotate(NAME, promote="1/1")
    status = await experiments.until(NAME, stepText="2/3", weight="20%")
    (operation,) = status["operations"]
    assert (operation["name"], operation["value"], operation["outcome"]) == ("promote", "1/1", "Done")
    experiments.annotate(NAME, promote="0/2")
    status = await experiments.until(
        NAME, operations=[{**operation, "value": "0/2", "outcome": "Outdated"} | told(NAME)]
    )
    assert status["stepText"] == "2/3"


def told(_: str) -> dict[str, str]:
    return {"message": "the run is at 1/2"}


async def test_pause_comes_before_promote_and_abort_before_pause(
    bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """A paused run stands still until it is resumed, even if promoted; an abort ends it all the same."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, stepText="1/3")
    experiments.annotate(NAME, pause="1", promote="1/1")
    await experiments.condition(NAME, "Progressing", "False", "Paused")
    assert experiments.status(NAME)["stepText"] == "1/3"
    experiments.annotate(NAME, pause=None)
    await experiments.until(NAME, stepText="2/3")
    experiments.annotate(NAME, pause="1", abort="1")
    await experiments.until(NAME, phase="RolledBack", weight="0%")
    await experiments.condition(NAME, "RolledBack", "True", "Aborted")


async def test_an_abort_is_latched_and_a_retry_is_a_new_run(
    bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """Neither a new sync nor a delete and re-create starts an aborted run; a retry does, with callers divided anew."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="Ramping")
    experiments.annotate(NAME, abort="1")
    await experiments.until(NAME, phase="RolledBack")
    experiments.annotate(NAME, abort=None)
    experiments.delete(NAME)
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="RolledBack", runId="1")
    experiments.annotate(NAME, retry="1")
    await experiments.until(NAME, phase="Ramping", runId="1~2", stepText="1/3", salt=f"{NAME}/1~2")
    published = await bench.published()
    assert published is not None
    assert (published.run_id, published.weight) == ("1~2", 0.1)
    experiments.apply(EXPERIMENT)
    experiments.annotate(NAME, abort="1~2")
    await experiments.until(NAME, phase="RolledBack", runId="1~2")


async def test_a_run_there_and_back_does_not_start_again(
    bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """Run 2 takes the place of run 1; whoever goes back to run 1 gets it as it ended."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="Ramping", runId="1")
    experiments.apply(EXPERIMENT.replace('runId: "1"', 'runId: "2"'))
    await experiments.until(NAME, phase="Ramping", runId="2")
    experiments.apply(EXPERIMENT)
    status = await experiments.until(NAME, phase="RolledBack", runId="1")
    assert "does not start again without a new spec.runId" in status["message"]


async def test_a_second_experiment_waits_for_the_agent(
    bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """It is told who has the agent and gets no traffic; once the first is rolled back, it begins."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="Ramping")
    experiments.apply(EXPERIMENT.replace(NAME, "another-greeting"))
    message = await experiments.condition("another-greeting", "Ready", "False", "AgentBusy")
    assert NAME in message
    published = await bench.published()
    assert published is not None
    assert published.name == NAME
    experiments.annotate(NAME, abort="1")
    await experiments.until("another-greeting", phase="Ramping", weight="10%")
    assert experiments.status(NAME)["phase"] == "RolledBack"


async def test_a_deleted_experiment_ends_for_everybody(
    bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """The sidecars hear that there is none any more."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="Ramping")
    before = await bench.version()
    experiments.delete(NAME)

    async def gone() -> bool:
        return await bench.published() is None

    await eventually(gone)
    assert await bench.version() > before


async def test_a_deletion_while_no_operator_is_there(
    cluster: ApiServer, valkey_url: str, bench: Bench, experiments: Experiments
) -> None:
    """Nothing keeps it from going; the next operator finds what is still published, and ends it for everybody."""
    async with operator(cluster, valkey_url, experiments.namespace) as first:
        experiments.apply(EXPERIMENT)
        await experiments.until(NAME, phase="Ramping")
        await first.kill()
    experiments.delete(NAME)
    assert experiments.get(NAME) is None
    assert await bench.published() is not None
    async with operator(cluster, valkey_url, experiments.namespace):

        async def gone() -> bool:
            return await bench.published() is None

        await eventually(gone, 40)


async def test_a_halt_while_no_operator_is_there(
    cluster: ApiServer, valkey_url: str, bench: Bench, experiments: Experiments
) -> None:
    """The gate needs no operator; the next one writes down what it did."""
    async with operator(cluster, valkey_url, experiments.namespace) as first:
        experiments.apply(EXPERIMENT)
        await experiments.until(NAME, phase="Ramping")
        await first.end()
    await bench.halted()
    async with operator(cluster, valkey_url, experiments.namespace):
        await experiments.until(NAME, phase="RolledBack", weight="0%")
        await experiments.told(NAME, "Started", "RolledBack")


async def test_a_namespace_goes_while_no_operator_is_there(
    cluster: ApiServer, valkey_url: str, bench: Bench, experiments: Experiments
) -> None:
    """No finalizer of ours holds it up."""
    async with operator(cluster, valkey_url, experiments.namespace) as first:
        experiments.apply(EXPERIMENT)
        await experiments.until(NAME, phase="Ramping")
        await first.kill()
    with cluster.controllers("namespace-controller"):
        cluster.must("DELETE", f"/api/v1/namespaces/{experiments.namespace}")
        cluster.kubectl("wait", "--for=delete", f"namespace/{experiments.namespace}", "--timeout=50s")


WITH_REFERENCE = EXPERIMENT.replace(
    'config: {systemPrompt: "Be warm."}',
    "configFrom: [{field: systemPrompt, configMapKeyRef: {name: prompts, key: warm.txt}}]",
)


async def test_a_missing_text_is_named_and_control_keeps_all_traffic(
    cluster: ApiServer, bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """The run begins once the ConfigMap is there, with its text; edited later, it is refused and the run goes on."""
    experiments.apply(WITH_REFERENCE)
    message = await experiments.condition(NAME, "Ready", "False", "ReferenceMissing")
    assert "variant warm: ConfigMap prompts is missing" in message
    published = await bench.published()
    assert published is not None
    assert (published.weight, published.control.config) == (0.0, {"systemPrompt": "Be polite."})
    maps = f"/api/v1/namespaces/{experiments.namespace}/configmaps"
    cluster.must("POST", maps, {"metadata": {"name": "prompts"}, "data": {"warm.txt": "Be very warm."}})
    await experiments.until(NAME, phase="Ramping", weight="10%", seconds=40)
    published = await bench.published()
    assert published is not None
    assert published.treatment.config == {"systemPrompt": "Be very warm."}
    cluster.must("PUT", f"{maps}/prompts", {"metadata": {"name": "prompts"}, "data": {"warm.txt": "Be hot."}})
    await experiments.condition(NAME, "Ready", "False", "Frozen", seconds=60)
    assert await bench.published() == published


async def test_an_experiment_on_an_unknown_metric_does_not_start(
    bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """The condition names the metric and those that there are; a policy that has it lets the run begin."""
    experiments.apply(EXPERIMENT.replace("wait: 1s", "wait: 1s, primary: warmth"))
    message = await experiments.condition(NAME, "Ready", "False", "UnknownMetric")
    assert "warmth" in message
    experiments.apply(
        "apiVersion: sluicegate.dev/v1alpha1\nkind: EvaluationPolicy\nmetadata: {name: reception}\n"
        "spec: {agent: receptionist, rubrics: [{name: warmth, text: a, worst: b, best: c}]}\n"
    )
    await experiments.until(NAME, phase="Ramping")


async def test_redis_that_lost_everything_is_filled_from_the_status(
    redis: Redis, bench: Bench, experiments: Experiments, at_work: Program
) -> None:
    """Step, run and halts are there again, under a version that every sidecar takes."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, stepText="1/3")
    experiments.annotate(NAME, promote="1/1")
    await experiments.until(NAME, stepText="2/3")
    before = await bench.version()
    await redis.flushall()

    async def back() -> bool:
        published = await bench.published()
        return published is not None and published.step == 1

    await eventually(back)
    assert await bench.version() >= before
    await bench.halted()
    await experiments.until(NAME, phase="RolledBack")
    await redis.flushall()

    async def halted_again() -> bool:
        return bool(await redis.hexists(bench.keys.halts, f"{NAME}/1/warm"))

    await eventually(halted_again)
    published = await bench.published()
    assert published is None or published.weight == 0


async def test_of_two_operators_one_acts(
    cluster: ApiServer, valkey_url: str, bench: Bench, experiments: Experiments
) -> None:
    """The second stands by until the first is killed, then goes on where it was."""
    async with operator(cluster, valkey_url, experiments.namespace) as first:
        await first.logs("this operator acts")
        async with operator(cluster, valkey_url, experiments.namespace) as second:
            await second.logs("knows 0 agents")
            experiments.apply(EXPERIMENT)
            await experiments.until(NAME, stepText="1/3")
            assert not any("this operator acts" in line for line in second.log)
            await experiments.told(NAME, "Started")
            await first.kill()
            experiments.annotate(NAME, promote="1/1")
            await experiments.until(NAME, stepText="2/3")
            await second.logs("this operator acts")
            await experiments.told(NAME, "Started", "Advanced")


async def test_an_operator_killed_at_any_moment_is_made_up_for(
    cluster: ApiServer, valkey_url: str, bench: Bench, experiments: Experiments
) -> None:
    """Killed again and again in the middle of its work: the ramp gets to its end, and Redis agrees with the status."""
    experiments.apply(EXPERIMENT)
    for step, delay in ((1, 0.0), (2, 0.02), (3, 0.05)):
        async with operator(cluster, valkey_url, experiments.namespace) as running:
            await running.logs("this operator acts")
            experiments.annotate(NAME, promote=f"1/{step}")
            await asyncio.sleep(delay)
            await running.kill()
        # The Lease of one that was killed is only free after a while.
        release(cluster, experiments.namespace)
    async with operator(cluster, valkey_url, experiments.namespace):
        for step in (1, 2, 3):
            experiments.annotate(NAME, promote=f"1/{step}")
            await eventually(partial(passed, experiments, step))
        status = await experiments.until(NAME, phase="Complete")

        async def agreed() -> bool:
            published = await bench.published()
            return published is not None and published.winner == "warm"

        await eventually(agreed)
        assert await bench.version() == status["snapshotVersion"]


async def passed(experiments: Experiments, step: int) -> bool:
    status = experiments.status(NAME)
    return bool(status.get("step", 0) > step or status.get("phase") == "Complete")


def release(cluster: ApiServer, namespace: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/sluicegate-operator"
    if lease := cluster.get(path):
        lease["spec"]["holderIdentity"] = ""
        cluster.must("PUT", path, lease)


async def test_nothing_is_written_without_a_change(bench: Bench, experiments: Experiments, at_work: Program) -> None:
    """However often it looks, no status is sent, and the snapshot stands still."""
    experiments.apply(EXPERIMENT)
    await experiments.until(NAME, phase="Ramping")
    before, version = await metrics(at_work), await bench.version()
    assert before["sluicegate_operator_status_writes_total"] == 1

    async def looked_again() -> bool:
        await bench.redis.xadd(bench.keys.events, {"d": b"none"})
        now = await metrics(at_work)
        return now["sluicegate_operator_looks_total"] >= before["sluicegate_operator_looks_total"] + 3

    await eventually(looked_again)
    after = await metrics(at_work)
    assert after["sluicegate_operator_status_writes_total"] == 1
    assert await bench.version() == version


async def metrics(running: Program) -> dict[str, float]:
    """What the operator's /metrics tell."""
    address = (await running.logs(r"metrics on (\S+)"))[1]
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as reply:
        lines = (await reply.text()).splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines)}


async def test_an_api_server_that_goes_away_and_comes_back(tmp_path: Path, valkey_url: str, redis: Redis) -> None:
    """The operator outlives it, and goes on with what was asked for meanwhile."""
    with api_server(tmp_path) as server:
        server.install_crds()
        experiments = Experiments(server, server.create_namespace("dental"))
        async with operator(server, valkey_url, "dental") as running:
            await running.logs("this operator acts")
            experiments.apply(EXPERIMENT)
            await experiments.until(NAME, phase="Ramping")
            await asyncio.to_thread(server.kill, etcd=True)
            await running.logs("the lease is lost")
            await asyncio.to_thread(server.start)
            experiments.annotate(NAME, promote="1/1")
            await experiments.until(NAME, stepText="2/3", seconds=60)
            assert running.process.returncode is None


COMPARES_OFTEN = """
import sys
from sluicegate_operator.cluster import inventory
inventory.COMPARE_SECONDS = 1.0
from sluicegate_cli.__main__ import main
sys.argv = ["sluicegate", "operator"]
main()
"""


async def test_a_deletion_that_nobody_can_tell_of_any_more_is_found(
    tmp_path: Path, valkey_url: str, redis: Redis
) -> None:
    """Deleted while the operator looked away, with the history gone when it looks again (410): found by comparing."""
    with api_server(tmp_path) as server:
        server.install_crds()
        experiments = Experiments(server, server.create_namespace("dental"))
        bench = Bench(redis, "dental", experiments)
        often = (sys.executable, "-c", COMPARES_OFTEN)
        async with operator(server, valkey_url, "dental", within=often) as running:
            experiments.apply(EXPERIMENT)
            await experiments.until(NAME, phase="Ramping")
            known = experiments.get(NAME)["metadata"]["resourceVersion"]
            running.process.send_signal(signal.SIGSTOP)
            experiments.delete(NAME)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            watch = {"watch": "1", "resourceVersion": known, "timeoutSeconds": "1"}

            async def is_history() -> bool:
                told = (await asyncio.to_thread(server.request, "GET", experiments.path(), **watch)).body
                return bool(told.get("object", told).get("code") == 410)

            await eventually(is_history, 60)
            running.process.send_signal(signal.SIGCONT)

            async def gone() -> bool:
                return await bench.published() is None

            await eventually(gone, 60)


async def test_an_operator_ends_quickly(at_work: Program) -> None:
    """SIGTERM is obeyed at once, and the Lease is let go of."""
    began = time.monotonic()
    assert await at_work.end() == 0
    print(f"ended in {time.monotonic() - began:.2f} s")
