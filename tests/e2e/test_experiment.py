"""The main job: a change ramps up or is taken back, and `kubectl get experiments` says so."""

import cluster
import pytest
from installed import RELEASE, RESOURCES, SYSTEM, Agent, Sluicegate
from redis import Redis

from sluicegate.keys import Keys, series

HARMLESS = "You are the warm and friendly receptionist of a dental practice. Book appointments."
HARMFUL = "You are the receptionist of a dental practice. Keep calls short and never look into the calendar."
ENDED_SECONDS = 300.0
"""An experiment takes a minute on an idle machine."""

pytestmark = pytest.mark.timeout(2 * ENDED_SECONDS)


def start(agent: Agent, prompt: str) -> None:
    """Applies an experiment, and returns once its first step is what the operator wants."""
    named = {"AGENT": agent.name, "NAME": agent.name, "NAMESPACE": agent.namespace, "PROMPT": prompt}
    cluster.apply(RESOURCES / "experiment.yaml", **named)
    becomes(agent, "Ramping")


def becomes(agent: Agent, phase: str) -> None:
    """Returns once the experiment is in the phase."""
    wanted = f"--for=jsonpath={{.status.phase}}={phase}"
    timeout = f"--timeout={ENDED_SECONDS:g}s"
    cluster.kubectl("-n", agent.namespace, "wait", f"experiment/{agent.name}", wanted, timeout)


def shown(agent: Agent) -> dict[str, str]:
    """The columns of `kubectl get experiments`."""
    head, row = cluster.kubectl("-n", agent.namespace, "get", "experiments", agent.name).splitlines()
    starts = [head.index(title) for title in head.split()]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def gets(agent: Agent) -> set[str]:
    """What the next hundred callers get; of the first calls some may have been on already."""
    return {made["variant"] for made in agent.calls_more(120)[20:]}


def is_halted(sluicegate: Sluicegate, agent: Agent) -> bool:
    """Whether Redis shuts the changed variant out."""
    with Redis.from_url(sluicegate.operator_url()) as redis:
        return bool(redis.hexists(Keys(agent.namespace, agent.name).halts, series(agent.name, "1", "changed")))


def test_a_harmless_change_ramps_up(sluicegate: Sluicegate, agent: Agent) -> None:
    """From 10 % to everybody, on judged sessions; each is in the account once."""
    start(agent, HARMLESS)
    agent.start()
    becomes(agent, "Complete")
    assert shown(agent)["PHASE"] == "Complete"
    assert gets(agent) == {"changed"}
    made = agent.stop()
    assert {call["variant"] for call in made} == {"control", "changed"}
    assert {call["recorded"] for call in made} == {"RECORD_OUTCOME_ACCEPTED"}
    assert sluicegate.settled(agent, len(made)).acknowledged == len(made)


def test_a_harmful_change_is_rolled_back(sluicegate: Sluicegate, agent: Agent) -> None:
    """Halted by a gate, told by kubectl, and no caller has it any more."""
    start(agent, HARMFUL)
    agent.start()
    becomes(agent, "RolledBack")
    assert shown(agent)["PHASE"] == "RolledBack"
    assert gets(agent) == {"control"}
    made = agent.stop()
    assert "changed" in {call["variant"] for call in made}
    assert sluicegate.settled(agent, len(made)).acknowledged == len(made)


def test_without_the_operator_traffic_is_halted_all_the_same(sluicegate: Sluicegate, agent: Agent) -> None:
    """The gate halts inside Redis; the operator, once it is back, only tells of it."""
    start(agent, HARMFUL)
    cluster.scale(f"deployment/{RELEASE}-operator", SYSTEM, 0)
    try:
        agent.start()
        cluster.until("a gate has halted the change", lambda: is_halted(sluicegate, agent))
        assert gets(agent) == {"control"}
        assert shown(agent)["PHASE"] == "Ramping", "nobody was there to say otherwise"
    finally:
        cluster.scale(f"deployment/{RELEASE}-operator", SYSTEM, 1)
    becomes(agent, "RolledBack")
    assert gets(agent) == {"control"}
    made = agent.stop()
    assert sluicegate.settled(agent, len(made)).acknowledged == len(made)
