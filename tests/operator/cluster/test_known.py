"""What is kept of resources, and which sights of them are news."""

from typing import Any

from sluicegate_operator.cluster.known import KnownResources
from sluicegate_operator.cluster.queue import AgentKey

DESK, PHONE = AgentKey("dental", "desk"), AgentKey("dental", "phone")


def a_body(name: str = "e", version: int = 1, agent: str = "desk", **changes: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "dental",
        "uid": f"u-{name}",
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"a": 1}],
        **changes.pop("metadata", {}),
    }
    return {"metadata": metadata, "spec": {"agent": agent}, "status": {}, **changes}


def test_only_what_asks_for_something_new_is_news() -> None:
    """Spec and annotations of ours; neither a status, which is our own, nor anybody else's annotations."""
    known = KnownResources()
    assert known.take("Experiment", a_body()) == {DESK}
    assert known.take("Experiment", a_body(version=2, status={"phase": "Ramping"})) == set()
    assert known.take("Experiment", a_body(version=3, metadata={"annotations": {"team": "x"}})) == set()
    wish = {"annotations": {"sluicegate.dev/abort": "1"}}
    assert known.take("Experiment", a_body(version=4, metadata=wish)) == {DESK}
    (body,) = known.of(DESK, "Experiment")
    assert body["metadata"]["annotations"] == {"sluicegate.dev/abort": "1"}
    assert "managedFields" not in body["metadata"]


def test_an_older_sight_is_none() -> None:
    """Watches lag behind what our own writes returned."""
    known = KnownResources()
    known.take("Experiment", a_body(version=5, status={"phase": "Ramping"}))
    assert known.take("Experiment", a_body(version=4, agent="phone")) == set()
    (body,) = known.of(DESK, "Experiment")
    assert body["status"] == {"phase": "Ramping"}


def test_a_re_created_resource_is_news_whatever_its_version() -> None:
    """Another uid is another resource."""
    known = KnownResources()
    known.take("Experiment", a_body(version=5))
    assert known.take("Experiment", a_body(version=4, metadata={"uid": "other"})) == {DESK}


def test_a_change_of_agent_concerns_both() -> None:
    """The one that loses it must hear so."""
    known = KnownResources()
    known.take("Experiment", a_body())
    assert known.take("Experiment", a_body(version=2, agent="phone")) == {DESK, PHONE}
    assert known.agents() == {PHONE}


def test_what_is_being_deleted_is_gone() -> None:
    """Whoever else keeps a finalizer: nobody wants it any more."""
    known = KnownResources()
    known.take("Experiment", a_body())
    assert known.take("Experiment", a_body(version=2, metadata={"deletionTimestamp": "now"})) == {DESK}
    assert known.drop(("Experiment", "dental", "e")) == set()
    assert known.agents() == set()


def test_the_oldest_comes_first() -> None:
    """It has the older right to the agent."""
    known = KnownResources()
    known.take("Experiment", a_body("a", metadata={"creationTimestamp": "2026-02-01T00:00:00Z"}))
    known.take("Experiment", a_body("b", metadata={"creationTimestamp": "2026-01-01T00:00:00Z"}))
    assert [body["metadata"]["name"] for body in known.of(DESK, "Experiment")] == ["b", "a"]
