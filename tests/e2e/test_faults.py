"""What a pod goes through: its sidecar killed, itself deleted, Redis away."""

import re
import subprocess
from typing import Any

import cluster
import pytest
from installed import RELEASE, SIDECAR, SYSTEM, Agent, Sluicegate, following, parsed

REDIS = f"statefulset/{RELEASE}-redis"

pytestmark = pytest.mark.timeout(300)


def test_a_sidecar_killed_in_a_call_costs_nothing(sluicegate: Sluicegate, agent: Agent) -> None:
    """kill -9 between two turns: the agent's container runs on, and its call goes on where it was."""
    agent.start("idle")
    pod = agent.pod()["metadata"]["name"]
    command = ["kubectl", "-n", agent.namespace, "exec", "-i", pod, "-c", "agent", "--", "python3", "/agent/agent.py"]
    with subprocess.Popen(
        [*command, "call", "the-call"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as telling:
        assert telling.stdin is not None
        assert telling.stdout is not None
        assert telling.stdout.readline() == "none\n"
        for number in (1, 2):
            telling.stdin.write(f"This is turn {number}.\n")
            assert telling.stdout.readline() == f"{number}\n"
            cluster.kill(agent.namespace, pod, SIDECAR)
        telling.stdin.close()
        assert telling.stdout.readline() == "3\n", "the end of the call"
    cluster.until(
        "both restarts are in the status", lambda: cluster.status_of(agent.pod(), SIDECAR)["restartCount"] == 2
    )
    assert cluster.status_of(agent.pod(), "agent")["restartCount"] == 0
    account = sluicegate.settled(agent, 1)
    assert (account.acknowledged, account.scored + account.not_sampled) == (1, 1)


def spooling(agent: Agent, **spec: Any) -> None:
    """Returns with Redis gone, and sessions acknowledged all the same."""
    agent.start(**spec)
    agent.calls_more(20)
    cluster.scale(REDIS, SYSTEM, 0)
    last = agent.calls_more(60)[-20:]
    assert {made["recorded"] for made in last} == {"RECORD_OUTCOME_ACCEPTED"}, "in the spool"


def test_a_pod_deleted_with_a_full_spool_brings_it_to_redis(sluicegate: Sluicegate, agent: Agent) -> None:
    """Deleted while Redis is away, which comes back in the time that the pod has to end: nothing is lost."""
    # The agent takes its time to end, as one in a call does.
    lingering = {"name": "agent", "lifecycle": {"preStop": {"exec": {"command": ["sleep", "20"]}}}}
    try:
        spooling(agent, containers=[lingering])
        pod = agent.pod()["metadata"]["name"]
        with following(agent.namespace, pod, "agent") as log:
            cluster.kubectl("-n", agent.namespace, "delete", "deployment", agent.name, "--wait=false")
            cluster.scale(REDIS, SYSTEM, 1)
    finally:
        cluster.scale(REDIS, SYSTEM, 1)
    made = parsed("".join(log))
    kept = [call for call in made if call["recorded"] == "RECORD_OUTCOME_ACCEPTED"]
    assert sluicegate.settled(agent, len(kept)).acknowledged == len(kept)


def test_a_spool_that_is_lost_is_told(sluicegate: Sluicegate, agent: Agent) -> None:
    """Deleted while Redis stays away: the sidecar's last words are how many sessions go with it."""
    try:
        spooling(agent)
        pod = agent.pod()["metadata"]["name"]
        with following(agent.namespace, pod, SIDECAR) as log:
            cluster.kubectl("-n", agent.namespace, "delete", "deployment", agent.name, "--wait=false")
    finally:
        cluster.scale(REDIS, SYSTEM, 1)
    assert re.search(r"the spool is not drained: [1-9]\d* operations", "".join(log))
