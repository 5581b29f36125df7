"""An agent's pod gets its sidecar by a label and an annotation."""

import cluster
from installed import SIDECAR, Agent


def test_an_agent_starts_after_its_sidecar_and_calls_over_the_socket(agent: Agent) -> None:
    """The sidecar is a native one that is started before the agent; each call is assigned and recorded by it."""
    agent.start()
    pod = agent.pod()
    sidecar, beside = cluster.status_of(pod, SIDECAR), cluster.status_of(pod, "agent")
    assert [container["name"] for container in pod["spec"]["initContainers"]] == [SIDECAR]
    assert pod["spec"]["initContainers"][0]["restartPolicy"] == "Always"
    assert sidecar["started"]
    assert sidecar["state"]["running"]["startedAt"] <= beside["state"]["running"]["startedAt"]
    calls = agent.calls_more(20)
    assert {call["variant"] for call in calls} == {"none"}, "no experiment, and an answer all the same"
    assert {call["recorded"] for call in calls} == {"RECORD_OUTCOME_ACCEPTED"}
