"""The resources as they were last seen, kept small: as JSON, decoded when an agent is looked at."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from sluicegate.resources.experiment import ASKED_BY
from sluicegate_operator.cluster.api import Object
from sluicegate_operator.cluster.queue import AgentKey

Kind = Literal["Experiment", "EvaluationPolicy"]
PLURALS: Mapping[Kind, str] = {"Experiment": "experiments", "EvaluationPolicy": "evaluationpolicies"}

Name = tuple[Kind, str, str]
"""Kind, namespace and name."""
NEEDED = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp")


@dataclass(frozen=True, slots=True)
class _Known:
    uid: str
    version: int
    asked: bytes
    """Digest of spec and annotations: whether somebody asks for something new."""
    agent: str
    whole: bytes


class KnownResources:
    """All resources of both kinds in the namespaces that are watched."""

    def __init__(self) -> None:
        self._known: dict[Name, _Known] = {}
        self._by_agent: defaultdict[AgentKey, set[Name]] = defaultdict(set)

    def take(self, kind: Kind, body: Mapping[str, Any]) -> set[AgentKey]:
        """Keeps what was seen; the agents that must be looked at. An older sight than the one that is kept is none."""
        metadata = body["metadata"]
        name: Name = (kind, metadata["namespace"], metadata["name"])
        if "deletionTimestamp" in metadata:
            return self.drop(name)
        before = self._known.get(name)
        version = int(metadata["resourceVersion"])
        if before and before.uid == metadata["uid"] and version <= before.version:
            return set()
        known = _known(metadata, body, version)
        self._known[name] = known
        agents = {AgentKey(metadata["namespace"], known.agent)}
        if before and before.agent != known.agent:
            agents |= self._leave(name, before)
        self._by_agent[AgentKey(metadata["namespace"], known.agent)].add(name)
        is_news = before is None or (before.uid, before.asked) != (known.uid, known.asked)
        return agents if is_news else set()

    def drop(self, name: Name) -> set[AgentKey]:
        """Forgets a resource that is gone; the agents that must be looked at."""
        before = self._known.pop(name, None)
        return self._leave(name, before) if before else set()

    def _leave(self, name: Name, before: _Known) -> set[AgentKey]:
        key = AgentKey(name[1], before.agent)
        self._by_agent[key].discard(name)
        if not self._by_agent[key]:
            del self._by_agent[key]
        return {key}

    def of(self, key: AgentKey, kind: Kind) -> list[Object]:
        """The agent's resources of a kind, the oldest first."""
        names = [name for name in self._by_agent.get(key, ()) if name[0] == kind]
        found = [msgspec.json.decode(self._known[name].whole) for name in names]
        return sorted(found, key=lambda body: (body["metadata"]["creationTimestamp"], body["metadata"]["name"]))

    def version(self, name: Name) -> tuple[str, int] | None:
        """The uid and the resourceVersion that are kept; None if nothing is."""
        known = self._known.get(name)
        return (known.uid, known.version) if known else None

    def agents(self) -> set[AgentKey]:
        return set(self._by_agent)

    def has(self, key: AgentKey) -> bool:
        return key in self._by_agent

    def names(self, kind: Kind) -> Iterator[Name]:
        return (name for name in tuple(self._known) if name[0] == kind)


def _known(metadata: Mapping[str, Any], body: Mapping[str, Any], version: int) -> _Known:
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name.startswith(ASKED_BY)
    }
    kept = {field: metadata[field] for field in NEEDED if field in metadata}
    spec = dict(body["spec"])
    whole = {"metadata": {**kept, "annotations": annotations}, "spec": spec, "status": dict(body.get("status") or {})}
    return _Known(
        uid=metadata["uid"],
        version=version,
        asked=_digest(spec, annotations),
        agent=spec["agent"],
        whole=msgspec.json.encode(whole),
    )


def _digest(spec: Mapping[str, Any], annotations: Mapping[str, str]) -> bytes:
    return hashlib.sha256(msgspec.json.encode([spec, annotations], order="deterministic")).digest()
