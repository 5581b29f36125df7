"""Kubernetes Events of transitions: a help to whoever describes an experiment, never the record of what happened."""

import asyncio
import logging
from datetime import UTC, datetime

from sluicegate_operator.cluster.api import API_VERSION, Api, Object
from sluicegate_operator.errors import ControlError
from sluicegate_operator.rollout.transitions import Transition

LONGEST = 1_000
COMPONENT = "sluicegate-operator"
WARNINGS = frozenset({"RolledBack", "Held", "Refused"})

MOST_WAITING = 2_000
PAUSE_SECONDS = 0.03
"""Between two: they have time, and what statuses say has not."""

log = logging.getLogger(__name__)


class Events:
    """Posts them one after the other, beside the looks: no look waits for it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._waiting: asyncio.Queue[Object] = asyncio.Queue(MOST_WAITING)

    def tell(self, body: Object, transition: Transition) -> None:
        """To be told of the experiment in `body`. Where too many wait, it is only logged."""
        try:
            self._waiting.put_nowait(_event(body["metadata"], transition))
        except asyncio.QueueFull:
            log.warning("too many events wait to be posted; left out: %s", transition.message)

    async def post_forever(self) -> None:
        """Until cancelled. That one could not be told is logged, and no reason to look again."""
        while True:
            event = await self._waiting.get()
            path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
            try:
                await self._api.request("POST", path, event)
            except ControlError as error:
                log.warning("no event could be posted of %s: %s", event["message"], error)
            await asyncio.sleep(PAUSE_SECONDS)


def _event(metadata: Object, transition: Transition) -> Object:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {"generateName": f"{metadata['name'][:50]}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "Experiment",
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "reason": transition.kind,
        "message": transition.message[:LONGEST],
        "type": "Warning" if transition.kind in WARNINGS else "Normal",
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
