"""An Experiment resource as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sluicegate.experiment import ExperimentInForce, OnStale, Override, Unit, Variant

OnInconclusive = Literal["Hold", "Rollback"]

ASKED_BY = "sluicegate.dev/"
"""What an annotation starts with by which a person asks something of a run."""

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStep:
    """A step of the ramp: the treatment's share of new units, 0 to 1, and the scored sessions it takes at least."""

    weight: float
    min_sessions: int
    manual: bool = False
    """Whether a person must approve of going on from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResource:
    """What the author of an experiment asks for. All shares are 0 to 1, unlike in the file."""

    namespace: str
    name: str
    agent: str
    run_id: str
    paused: bool
    unit: Unit
    salt: str
    on_stale: OnStale
    stale_after: float
    """Seconds."""
    variants: tuple[Variant, Variant]
    steps: tuple[RampStep, ...]
    holdback: float
    """The control's share at full ramp."""
    margin: float
    """How much worse still counts as comparable, in points of the 1–5 scale."""
    on_inconclusive: OnInconclusive
    """What to do when a step's deadline is over and it is still not known whether the treatment is safe."""
    deadline_seconds: float
    """For each step."""
    primary: str
    """The metric that decides."""
    wait_seconds: float
    """From the assignment of a session to its score, before it is out of the comparison."""
    sampling_rate: float
    overrides: tuple[Override, ...]
    source: str
    """Where it was read, for messages: `file:line`."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """What people ask of the run by annotation: the operation, such as promote, and its value."""

    @property
    def treatment(self) -> Variant:
        return next(v for v in self.variants if not v.control)

    @property
    def control(self) -> Variant:
        return next(v for v in self.variants if v.control)

    def in_force(self, step: int) -> ExperimentInForce:
        """The experiment as the sidecars get it while its ramp is at `step`, an index from 0."""
        return ExperimentInForce(
            name=self.name,
            run_id=self.run_id,
            salt=self.salt,
            unit=self.unit,
            variants=self.variants,
            step=step,
            weight=min(self.steps[step].weight, 1 - self.holdback),
            sampling_rate=self.sampling_rate,
            overrides=self.overrides,
            on_stale=self.on_stale,
            stale_after=self.stale_after,
        )


def experiment_resource(resource: Mapping[str, Any], source: str) -> ExperimentResource:
    """The value of an Experiment that is valid and has its defaults, as from `schema.check` or an API server."""
    metadata, spec = resource["metadata"], resource["spec"]
    first, second = map(_variant, spec["variants"])
    return ExperimentResource(
        namespace=metadata["namespace"],
        name=metadata["name"],
        agent=spec["agent"],
        run_id=spec["runId"],
        paused=spec["paused"],
        unit=spec["assignment"]["unit"],
        salt=spec["assignment"].get("salt", f"{metadata['name']}/{spec['runId']}"),
        on_stale=spec["assignment"]["onStale"],
        stale_after=float(spec["assignment"]["staleAfterSeconds"]),
        variants=(first, second),
        steps=tuple(_step(step) for step in spec["ramp"]["steps"]),
        holdback=spec["ramp"]["holdback"] / 100,
        margin=float(spec["ramp"]["margin"]),
        on_inconclusive=spec["ramp"]["onInconclusive"],
        deadline_seconds=_seconds(spec["ramp"]["progressDeadline"]),
        primary=spec["analysis"]["primary"],
        wait_seconds=_seconds(spec["analysis"]["wait"]),
        sampling_rate=float(spec["sampling"]["rate"]),
        overrides=tuple(map(_override, spec.get("overrides", ()))),
        source=source,
        asked={
            name.removeprefix(ASKED_BY): value
            for name, value in metadata.get("annotations", {}).items()
            if name.startswith(ASKED_BY)
        },
    )


def _variant(variant: Mapping[str, Any]) -> Variant:
    return Variant(name=variant["name"], control=variant["control"], config=variant.get("config", {}))


def _step(step: Mapping[str, Any]) -> RampStep:
    return RampStep(weight=step["weight"] / 100, min_sessions=step["minSessions"], manual=step["approval"] == "Manual")


def _seconds(duration: str) -> float:
    """A whole number and its unit, as in 7d."""
    return float(int(duration[:-1]) * _SECONDS[duration[-1]])


def _override(override: Mapping[str, Any]) -> Override:
    attribute = override.get("attribute", {"name": "", "value": ""})
    return Override(
        variant=override["variant"],
        caller_hash=override.get("callerHash", ""),
        attribute=attribute["name"],
        value=attribute["value"],
    )
