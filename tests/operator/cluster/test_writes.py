"""Writes of status on a real API server: whoever looked at an older resource is told so, and writes nothing."""

import copy
import ssl
import time
from typing import Any

import pytest
from api_server import ADMIN_TOKEN, ApiServer
from operators import Experiments
from told import EXPERIMENT

from sluicegate_operator.cluster.api import Access, api
from sluicegate_operator.cluster.known import KnownResources
from sluicegate_operator.cluster.lease import Lease
from sluicegate_operator.cluster.writes import StatusWrites
from sluicegate_operator.errors import Outrun

NAME = "warmer-greeting"


async def test_a_stale_look_writes_nothing(cluster: ApiServer, namespace: str) -> None:
    """Without the lease nobody writes; with it, only over what was looked at, and numbers not at every look."""
    resources, known = Experiments(cluster, namespace), KnownResources()
    resources.apply(EXPERIMENT)
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    async with api(lambda: Access(cluster.url, {"Authorization": f"Bearer {ADMIN_TOKEN}"}, trust)) as client:
        lease = Lease(client, namespace, "lease")
        writes = StatusWrites(client, known, lease)
        body: dict[str, Any] = {"status": {}, **resources.get(NAME)}
        with pytest.raises(Outrun, match="lease"):
            await writes.write("Experiment", copy.deepcopy(body), {"phase": "Ramping"})
        lease._held_until = time.monotonic() + 60
        stale = copy.deepcopy(body)
        assert await writes.write("Experiment", body, {"phase": "Ramping", "message": "a"})
        assert resources.status(NAME) == {"phase": "Ramping", "message": "a"}
        with pytest.raises(Outrun, match="has changed"):
            await writes.write("Experiment", stale, {"phase": "Complete"})
        count = writes.count
        assert await writes.write("Experiment", body, {"phase": "Ramping", "message": "a"})
        assert not await writes.write("Experiment", body, {"phase": "Ramping", "message": "b"})
        assert writes.count == count
        assert await writes.write("Experiment", body, {"phase": "Complete"})
        assert resources.status(NAME) == {"phase": "Complete"}
