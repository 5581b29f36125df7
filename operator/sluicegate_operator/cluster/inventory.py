"""What there is, by listing it: when the operator begins, and every few minutes, since watching loses deletions."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from sluicegate_operator.cluster.api import GROUP, METADATA_ONLY, Api
from sluicegate_operator.cluster.known import PLURALS, Kind, KnownResources, Name
from sluicegate_operator.cluster.queue import AgentKey
from sluicegate_operator.errors import ControlError, NotThere

COMPARE_SECONDS = 180.0
RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


class Inventory:
    """Compares what is known with what is there."""

    def __init__(self, api: Api, known: KnownResources, namespaces: tuple[str, ...]) -> None:
        self._api = api
        self._known = known
        self._namespaces = namespaces

    async def served(self) -> None:
        """Returns once the API server serves both kinds: the resource definitions may come after the operator."""
        told = False
        while True:
            try:
                resources = (await self._api.get(GROUP))["resources"]
                if {resource["name"] for resource in resources} >= set(PLURALS.values()):
                    return
                problem = "it does not serve both kinds"
            except ControlError as error:
                problem = str(error)
            if not told:
                log.warning("waiting for the resource definitions of sluicegate.dev: %s", problem)
                told = True
            await asyncio.sleep(RETRY_SECONDS)

    async def take_all(self) -> None:
        """Reads everything, for the first time; tries until it can."""
        while True:
            try:
                for kind in PLURALS:
                    for path in self._paths(kind):
                        async for page in self._api.pages(path):
                            for body in page:
                                self._known.take(kind, body)
                return
            except ControlError as error:
                log.warning("the resources cannot be listed: %s; trying again", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def follow(self, changed: Callable[[Iterable[AgentKey]], None]) -> None:
        """Until cancelled: compares now and then."""
        while True:
            await asyncio.sleep(COMPARE_SECONDS)
            try:
                changed(await self.compare())
            except ControlError as error:
                log.warning("the resources cannot be compared: %s; trying again in a while", error)

    async def compare(self) -> set[AgentKey]:
        """The agents of whatever was gone, new or changed without a word."""
        found: set[AgentKey] = set()
        for kind in PLURALS:
            before = set(self._known.names(kind))
            there = await self._versions(kind)
            for name in before - set(there):
                found |= self._known.drop(name)
            for name, version in there.items():
                if self._known.version(name) != version:
                    found |= await self._fetch(kind, name)
        return found

    async def _versions(self, kind: Kind) -> dict[Name, tuple[str, int]]:
        versions: dict[Name, tuple[str, int]] = {}
        for path in self._paths(kind):
            async for page in self._api.pages(path, METADATA_ONLY):
                for body in page:
                    metadata = body["metadata"]
                    name: Name = (kind, metadata["namespace"], metadata["name"])
                    versions[name] = (metadata["uid"], int(metadata["resourceVersion"]))
        return versions

    async def _fetch(self, kind: Kind, name: Name) -> set[AgentKey]:
        try:
            body = await self._api.get(f"{GROUP}/namespaces/{name[1]}/{PLURALS[kind]}/{name[2]}")
        except NotThere:
            return self._known.drop(name)
        return self._known.take(kind, body)

    def _paths(self, kind: Kind) -> list[str]:
        if not self._namespaces:
            return [f"{GROUP}/{PLURALS[kind]}"]
        return [f"{GROUP}/namespaces/{namespace}/{PLURALS[kind]}" for namespace in self._namespaces]
