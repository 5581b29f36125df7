"""The chart on a node: all of it comes up, and answers."""

import cluster
import pytest
from installed import RELEASE, SYSTEM


@pytest.mark.usefixtures("sluicegate")
def test_helm_test_passes() -> None:
    """`helm test`, from a pod: operator, injector and Redis answer."""
    told = cluster.run("helm", "test", RELEASE, "--namespace", SYSTEM, "--timeout=60s")
    assert "Succeeded" in told
