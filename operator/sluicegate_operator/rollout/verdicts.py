"""The four things that can be done with a run. Each message is one sentence for a person, with its numbers."""

from dataclasses import dataclass
from typing import Literal

HoldReason = Literal[
    "Paused",
    "SharedCause",
    "GateBroken",
    "JudgeLag",
    "SampleRatioMismatch",
    "EvidenceLost",
    "TooFewSessions",
    "TooFewCallers",
    "NotYetSafe",
    "GateUnknown",
    "DeadlineExceeded",
    "ApprovalNeeded",
]


@dataclass(frozen=True, slots=True)
class Hold:
    """The weight stays. `reason` is one word for a machine, `needed` tells what would end the wait."""

    reason: HoldReason
    message: str
    needed: str


@dataclass(frozen=True, slots=True)
class Advance:
    """On to the next step."""

    message: str


@dataclass(frozen=True, slots=True)
class Promote:
    """The last step is passed: everybody gets the treatment."""

    message: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Nobody gets the treatment any more."""

    reason: Literal["Harm", "Halted", "Inconclusive", "Aborted"]
    message: str


Decision = Hold | Advance | Promote | RollBack
