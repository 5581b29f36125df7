"""One look at one agent of the cluster: who has it, what may be published, what its resources are told."""

import dataclasses
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sluicegate.experiment import ExperimentInForce
from sluicegate.policy import OVERALL, Policy
from sluicegate.resources.experiment import ExperimentResource, experiment_resource
from sluicegate.resources.policy import faulty_patterns, policy_resource
from sluicegate.revision import judge_revision
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.cluster import status
from sluicegate_operator.cluster.api import Api, Object
from sluicegate_operator.cluster.choice import Candidate, holder
from sluicegate_operator.cluster.events import Events
from sluicegate_operator.cluster.known import KnownResources
from sluicegate_operator.cluster.queue import AgentKey
from sluicegate_operator.cluster.references import ConfigMaps, config_maps, resolved
from sluicegate_operator.cluster.writes import StatusWrites
from sluicegate_operator.delivery.reports import Reports
from sluicegate_operator.delivery.snapshot import Delivery
from sluicegate_operator.publishing import Publishing
from sluicegate_operator.ramp import AgentRamp, Look
from sluicegate_operator.rollout.operations import attempted
from sluicegate_operator.rollout.reconcile import begins_run
from sluicegate_operator.rollout.transitions import Transition, transitions

BUSY_SECONDS = 2.0
"""Until the next look at an agent whose scores wait for their turn."""
NUMBERS_SECONDS = 10.0
MISSING_SECONDS = 10.0
LONGEST_SECONDS = 300.0
"""Between two looks at an agent where nothing happens; whatever does happen there wakes it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An experiment as it is asked for, with the texts of its ConfigMaps."""

    body: Object
    resource: ExperimentResource
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def generation(self) -> int:
        return int(self.body["metadata"]["generation"])


@dataclass(slots=True)
class _Agent:
    """What is kept of an agent between two looks."""

    ramp: AgentRamp
    scores: Scores
    delivery: Delivery
    quiet_seconds: float = BUSY_SECONDS
    told_refused: str = ""


class Desk:
    """Looks at agents, each at most once at a time."""

    def __init__(
        self,
        api: Api,
        known: KnownResources,
        writes: StatusWrites,
        events: Events,
        redis_of: Callable[[AgentKey], Awaitable[tuple[Delivery, Scores, Reports]]],
    ) -> None:
        self._events = events
        self._known = known
        self._writes = writes
        self._redis_of = redis_of
        self._config_maps = ConfigMaps(api)
        self._agents: dict[AgentKey, _Agent] = {}

    async def look(self, key: AgentKey) -> float:
        """One look; in how many seconds to look again at the latest. Outrun, RedisAway and ApiAway: look again."""
        now = time.time()
        agent = await self._agent(key)
        policy, settled = await self._policy(key, now)
        asked = [await self._asked(body) for body in self._known.of(key, "Experiment")]
        if policy is None:
            policy = await _last_good_policy(agent)
        if policy is None:
            # Nobody knows what is to be redacted: nothing starts.
            await self._all_unready(asked, "PolicyInvalid", "the agent's policy is invalid: see its status", now)
            return MISSING_SECONDS
        chosen = await self._choose(agent, asked)
        if chosen is None:
            ended = await agent.ramp.without_run(None, policy, now)
            if ended:
                log.info("%s/%s: %s is deleted; everybody gets the agent's own default", *key, ended)
            return LONGEST_SECONDS
        settled &= await self._tell_others(asked, chosen, now)
        seconds = await self._look_at(agent, chosen, policy, now)
        return seconds if settled else min(seconds, NUMBERS_SECONDS)

    async def tell_unready(self, key: AgentKey, reason: str, message: str) -> None:
        """Says in the status of the agent's experiments why nothing can be done now."""
        asked = [_Asked(body, experiment_resource(body, _source(body))) for body in self._known.of(key, "Experiment")]
        await self._all_unready(asked, reason, message, time.time())

    def forget(self, key: AgentKey) -> None:
        """Keeps nothing of an agent that no resource names."""
        self._agents.pop(key, None)

    async def _agent(self, key: AgentKey) -> _Agent:
        if key not in self._agents:
            delivery, scores, reports = await self._redis_of(key)
            self._agents[key] = _Agent(AgentRamp(delivery, scores, Publishing(reports, scores)), scores, delivery)
        return self._agents[key]

    async def _policy(self, key: AgentKey, now: float) -> tuple[Policy | None, bool]:
        """The agent's policy, None if it must not be used; and whether nothing is left to be written of it."""
        bodies = self._known.of(key, "EvaluationPolicy")
        policy: Policy | None = Policy()
        settled = True
        for number, body in enumerate(bodies):
            problem = _fault_of_policy(body, bodies[0] if number else None)
            revision = ""
            if number == 0:
                policy = None if problem[1] != "True" else policy_resource(body, _source(body)).policy
                revision = judge_revision(policy) if policy else ""
            generation = int(body["metadata"]["generation"])
            told = status.of_policy(problem, revision, generation, body["status"], now)
            settled &= await self._writes.write("EvaluationPolicy", body, told)
        return policy, settled

    async def _asked(self, body: Object) -> _Asked:
        spec = body["spec"]
        names = config_maps(spec)
        found = await self._config_maps.read(body["metadata"]["namespace"], names) if names else {}
        whole, missing = resolved(spec, found)
        return _Asked(body, experiment_resource({**body, "spec": whole}, _source(body)), missing)

    async def _choose(self, agent: _Agent, asked: list[_Asked]) -> _Asked | None:
        if len(asked) < 2:
            return asked[0] if asked else None
        candidates = [Candidate(one.resource, status.remembered(one.body["status"])) for one in asked]
        chosen = holder(candidates, await agent.ramp.running())
        return next(one for one, candidate in zip(asked, candidates, strict=True) if candidate is chosen)

    async def _tell_others(self, asked: list[_Asked], chosen: _Asked, now: float) -> bool:
        """Those that have not the agent are told so, unless their run is over and they want nothing of it."""
        settled = True
        for one in asked:
            if one is chosen or not Candidate(one.resource, status.remembered(one.body["status"])).wants:
                continue
            message = (
                f"agent {one.resource.agent} is busy with experiment {chosen.resource.name}: no traffic until then"
            )
            told = status.pending("AgentBusy", message, one.generation, one.body["status"], now)
            settled &= await self._writes.write("Experiment", one.body, told)
        return settled

    async def _all_unready(self, asked: list[_Asked], reason: str, message: str, now: float) -> None:
        for one in asked:
            told = status.unready(reason, message, one.generation, one.body["status"], now)
            await self._writes.write("Experiment", one.body, told)

    async def _look_at(self, agent: _Agent, asked: _Asked, policy: Policy, now: float) -> float:
        remembered = status.remembered(asked.body["status"])
        resource = attempted(asked.resource, remembered)
        if begins_run(resource, remembered):
            problem = _fault_of_start(asked, policy)
            if problem:
                await agent.ramp.without_run(_control_only(asked), policy, now)
                told = status.pending(*problem, asked.generation, asked.body["status"], now)
                await self._writes.write("Experiment", asked.body, told)
                return MISSING_SECONDS
        await self._restore_halts(agent, asked)

        async def reserve(look: Look) -> None:
            await self._write_look(asked, look, now)
            self._tell(asked, look)

        look = await agent.ramp.look(asked.resource, policy, now, remembered, reserve)
        settled = await self._write_look(asked, look, now)
        self._tell_refused(agent, asked, look)
        for transition in agent.ramp.news():
            self._post(asked.body, transition)
        return _seconds_until_next(agent, look, settled)

    async def _write_look(self, asked: _Asked, look: Look, now: float) -> bool:
        told = status.of_look(look, asked.generation, asked.body["status"], now)
        if asked.missing:
            message = f"{_missing(asked)}; run {look.after.run_id} goes on with what it began with"
            told = status.unready("ReferenceMissing", message, asked.generation, told, now)
        return await self._writes.write("Experiment", asked.body, told)

    async def _restore_halts(self, agent: _Agent, asked: _Asked) -> None:
        """What the status knows of halts and Redis does not, Redis has lost."""
        halts = status.halts_in(asked.body["status"])
        if halts:
            _, there = await agent.scores.gates()
            lost = [halt for series, halt in halts.items() if series not in there]
            if lost:
                log.warning("%s: Redis had lost %d halts; they are there again", _source(asked.body), len(lost))
                await agent.delivery.put_halts(lost)

    def _tell(self, asked: _Asked, look: Look) -> None:
        for transition in transitions(look.before, look.after, look.resource.in_force(0).weight):
            self._post(asked.body, transition)

    def _tell_refused(self, agent: _Agent, asked: _Asked, look: Look) -> None:
        if look.refused and agent.told_refused != look.refused:
            self._post(asked.body, Transition("Refused", asked.resource.name, look.refused))
        agent.told_refused = look.refused

    def _post(self, body: Object, transition: Transition) -> None:
        log.info("%s: %s: %s", _source(body), transition.kind, transition.message)
        self._events.tell(body, transition)


def _source(body: Object) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


async def _last_good_policy(agent: _Agent) -> Policy | None:
    stored, _, _ = await agent.delivery.read()
    return stored.policy if stored else None


def _fault_of_policy(body: Object, first: Object | None) -> status.Condition:
    if first:
        name = first["metadata"]["name"]
        return "Ready", "False", "AgentHasPolicy", f"the agent has a policy already, {name}: remove one of the two"
    problem = next(faulty_patterns(body), None)
    if problem:
        path, message = problem
        return "Ready", "False", "InvalidPattern", f"{'.'.join(map(str, path))}: {message}"
    return "Ready", "True", "InForce", "in force for the agent"


def _fault_of_start(asked: _Asked, policy: Policy) -> tuple[str, str] | None:
    """Reason and message why a run cannot start."""
    if asked.missing:
        return "ReferenceMissing", f"{_missing(asked)}; control keeps all traffic until it is there"
    if asked.resource.primary not in policy.metrics:
        known = ", ".join(metric for metric in policy.metrics if metric != OVERALL)
        told = f"spec.analysis.primary: {asked.resource.primary} is no metric of the agent's policy; it has {known}"
        return "UnknownMetric", told
    return None


def _missing(asked: _Asked) -> str:
    return "; ".join(
        f"variant {variant}: {', '.join(sorted(set(what)))} is missing" for variant, what in asked.missing.items()
    )


def _control_only(asked: _Asked) -> ExperimentInForce | None:
    """What the sidecars get meanwhile: nobody a treatment, testers neither; nothing if control itself is not whole."""
    if asked.resource.control.name in asked.missing:
        return None
    in_force = asked.resource.in_force(0)
    return dataclasses.replace(in_force, weight=0.0, overrides=())


def _seconds_until_next(agent: _Agent, look: Look, settled: bool) -> float:
    """Looks grow rare where nothing happens."""
    if look.after.phase == "Ramping" and look.evidence.comparison.waiting > 0:
        agent.quiet_seconds = BUSY_SECONDS
    elif look.published:
        agent.quiet_seconds = NUMBERS_SECONDS
    else:
        agent.quiet_seconds = min(LONGEST_SECONDS, 3 * agent.quiet_seconds)
    # What began together does not go on together.
    seconds = agent.quiet_seconds * random.uniform(0.7, 1.0)
    return seconds if settled else min(seconds, NUMBERS_SECONDS)
