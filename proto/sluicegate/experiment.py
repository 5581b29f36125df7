"""The experiment as the data plane sees it: who gets which configuration now."""

from dataclasses import dataclass, field
from typing import Any, Literal

Unit = Literal["Caller", "Session"]
OnStale = Literal["ControlOnly", "KeepSplit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One side of the comparison: a name and the configuration that the agent is to use."""

    name: str
    control: bool = False
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Testers get the named variant and stay out of the analysis.

    Matches a caller by keyed hash (`caller_hash`), or a request by one attribute (`attribute` = `value`).
    """

    variant: str
    caller_hash: str = ""
    attribute: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentInForce:
    """One run of an experiment, at one moment of its ramp."""

    name: str
    run_id: str
    salt: str
    unit: Unit
    variants: tuple[Variant, Variant]
    step: int
    """Index of the ramp step, from 0."""
    weight: float
    """Treatment's share of new units, 0 to 1; 0 before the start and after a rollback."""
    sampling_rate: float
    overrides: tuple[Override, ...] = ()
    on_stale: OnStale = "ControlOnly"
    """What new units get when the control plane has not been heard for `stale_after` seconds."""
    stale_after: float = 600.0
    winner: str = ""
    """The variant that everybody gets once the experiment is decided; empty until then."""

    @property
    def control(self) -> Variant:
        first, second = self.variants
        return first if first.control else second

    @property
    def treatment(self) -> Variant:
        first, second = self.variants
        return second if first.control else first

    def variant(self, name: str) -> Variant | None:
        """The variant called `name`; None if there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        return None
