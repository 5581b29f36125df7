"""Redis knows each namespace by a user of its own."""

import cluster
import pytest
from installed import RELEASE, RESOURCES, SYSTEM, Agent, Sluicegate, secret
from redis import Redis
from redis.exceptions import NoPermissionError

from sluicegate.keys import Keys


def user_of(sluicegate: Sluicegate, namespace: str) -> str:
    """The URL of a namespace's user, once the operator has made it."""

    def made() -> dict[str, str]:
        try:
            return secret("sluicegate-redis", namespace)
        except cluster.Failed:
            return {}

    found = cluster.until(f"the Secret of {namespace}", made)
    assert found["username"] == f"sg-{namespace}"
    return sluicegate.redis_url(found["username"], found["password"])


def test_a_namespace_cannot_reach_the_keys_of_another(sluicegate: Sluicegate, agent: Agent) -> None:
    """Its user reads and writes what is its own; anything of another namespace, or of the server, is refused."""
    cluster.apply(RESOURCES / "policy.yaml", AGENT=agent.name, NAMESPACE="legal")
    own, other = Keys("dental", agent.name), Keys("legal", agent.name)
    with Redis.from_url(user_of(sluicegate, "legal")) as redis:
        redis.xadd(other.queue, {"d": "theirs"})
    with Redis.from_url(user_of(sluicegate, "dental")) as redis:
        assert redis.xlen(own.queue) == 0
        for command in (
            ("HGETALL", other.snapshot),
            ("XRANGE", other.queue, "-", "+"),
            ("XADD", other.queue, "*", "d", "mine"),
            ("DEL", other.queue),
            ("PUBLISH", other.notices, "mine"),
            ("EVAL", "return redis.call('XLEN', KEYS[1])", "1", other.queue),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("ACL", "LIST"),
            ("CONFIG", "GET", "*"),
            ("FLUSHALL",),
        ):
            with pytest.raises(NoPermissionError):
                redis.execute_command(*command)
    with Redis.from_url(user_of(sluicegate, "legal")) as redis:
        assert redis.xlen(other.queue) == 1
        redis.delete(other.queue)


@pytest.mark.timeout(300)
def test_redis_knows_its_users_after_a_restart_without_the_operator(sluicegate: Sluicegate, agent: Agent) -> None:
    """They are on its volume: while the operator is away, sidecars are let in all the same."""
    url = user_of(sluicegate, agent.namespace)
    cluster.scale(f"deployment/{RELEASE}-operator", SYSTEM, 0)
    try:
        cluster.scale(f"statefulset/{RELEASE}-redis", SYSTEM, 0)
        cluster.scale(f"statefulset/{RELEASE}-redis", SYSTEM, 1)
        with Redis.from_url(url) as redis:
            assert redis.xlen(Keys(agent.namespace, agent.name).queue) == 0
    finally:
        cluster.scale(f"statefulset/{RELEASE}-redis", SYSTEM, 1)
        cluster.scale(f"deployment/{RELEASE}-operator", SYSTEM, 1)
