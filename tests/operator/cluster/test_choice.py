"""Of several experiments of one agent, which one has it."""

from dataclasses import replace
from typing import Any

from ramps import NOW, an_experiment

from sluicegate_operator.cluster.choice import Candidate, holder
from sluicegate_operator.rollout.state import first_state


def candidate(name: str, run_id: str = "1", state: bool = True, asked: Any = None, **changes: Any) -> Candidate:
    resource = an_experiment(name=name, asked=asked or {})
    remembered = replace(first_state(resource, 1, NOW), **changes) if state else None
    return Candidate(replace(resource, run_id=run_id), remembered)


def has(*candidates: Candidate, running: str = "") -> str:
    found = holder(candidates, running)
    return found.resource.name if found else ""


def test_the_oldest_begins() -> None:
    """Nobody has begun: the first that came."""
    assert has() == ""
    assert has(candidate("a", state=False), candidate("b", state=False)) == "a"


def test_the_running_one_stays() -> None:
    """Also where an older one comes to want it, and where Redis lost who was running."""
    older, running = candidate("a", state=False), candidate("b")
    assert has(older, running, running="b") == "b"
    assert has(older, running, running="") == "b"


def test_a_rolled_back_run_leaves_the_agent_to_others() -> None:
    """Until it asks for a new run, or is the only one."""
    back = candidate("a", phase="RolledBack")
    assert has(back, candidate("b", state=False), running="a") == "b"
    assert has(back, running="a") == "a"
    assert has(candidate("a", run_id="2", phase="RolledBack"), candidate("b"), running="b") == "b"
    retried = candidate("a", asked={"retry": "1"}, phase="RolledBack")
    assert retried.wants
    assert has(retried, candidate("b", phase="RolledBack"), running="b") == "a"


def test_a_complete_one_serves_its_winner() -> None:
    """It has the agent until it is deleted."""
    assert has(candidate("a", state=False), candidate("b", phase="Complete"), running="b") == "b"
