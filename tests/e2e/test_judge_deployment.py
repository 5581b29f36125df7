"""`judge.mode: deployment`: sidecars capture, and judges of their own judge."""

from collections.abc import Iterator

import cluster
import pytest
from installed import SIDECAR, SYSTEM, Agent, Sluicegate, secret
from redis import Redis
from redis.exceptions import NoPermissionError

from sluicegate.keys import Keys

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def judges(sluicegate: Sluicegate, agent: Agent) -> Iterator[None]:
    """The chart in that mode, with a judge for the agent."""
    sluicegate.upgrade(judge={"mode": "deployment", "agents": [{"namespace": agent.namespace, "agent": agent.name}]})
    yield
    sluicegate.upgrade()


@pytest.mark.usefixtures("judges")
def test_judges_of_their_own_score_the_sessions(sluicegate: Sluicegate, agent: Agent) -> None:
    """The sidecar has no judge, and its user may not write a score; every session is scored all the same."""
    agent.start()
    (sidecar,) = [one for one in agent.pod()["spec"]["initContainers"] if one["name"] == SIDECAR]
    assert {"name": "SLUICEGATE_JUDGE", "value": "off"} in sidecar["env"]
    user = secret("sluicegate-redis", agent.namespace)
    with Redis.from_url(sluicegate.redis_url(user["username"], user["password"])) as redis:
        for forged in (("XADD", Keys(agent.namespace, agent.name).log, "*", "d", "a score"),):
            with pytest.raises(NoPermissionError):
                redis.execute_command(*forged)
    agent.calls_more(30)
    made = agent.stop()
    account = sluicegate.settled(agent, len(made))
    assert account.acknowledged == len(made)
    assert account.scored + account.not_sampled == len(made)
    assert account.scored
    judge_pods = cluster.pods(SYSTEM, "app.kubernetes.io/name=sluicegate")
    assert [pod for pod in judge_pods if "-judge-" in pod["metadata"]["name"]]
