"""The evaluation policy of an agent: what is judged, how, and what must hold. An empty policy is the default one."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["warning", "critical"]
Action = Literal["Alert", "Pause", "Rollback"]
Confirm = Literal["None", "UpperBound"]
Applies = Literal["Always", "WhenToolsUsed", "JudgeDecides"]
Content = Literal["full", "redacted", "none"]
Preset = Literal["email", "phone", "card", "iban"]

OVERALL = "overall_average"
"""The metric that every session has: the mean of the scores that apply to it."""

MAX_RUBRICS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """What the judge is told about one metric, scored 1 to 5."""

    name: str
    text: str
    worst: str
    """Anchor: what a 1 looks like."""
    best: str
    """Anchor: what a 5 looks like."""
    applies: Applies = "Always"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """Which model judges, and what it is told beside the rubrics."""

    model: str = "gpt-4o-mini"
    temperature: float | None = 0.0
    """None: not sent, for models that refuse it."""
    context: str = ""
    """What the agent is for, told to the judge; the same for every variant."""
    timeout: float = 30.0
    """Seconds for one call."""
    max_transcript_chars: int = 60_000
    """A longer transcript is cut in the middle before it is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The sliding window over session ends that the gates look at."""

    seconds: int = 3600
    min_sessions: int = 10
    """Under it a gate is unknown: neither OK nor broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """A floor under the mean of one metric in the window."""

    metric: str
    min: float
    severity: Severity
    action: Action
    confirm: Confirm
    """What the action waits for: the mean below the floor (None), or its upper 95 % bound too (UpperBound)."""
    recover_by: float = 0.2
    """A broken gate recovers when the mean is this much above the floor."""


BUILT_IN_RUBRICS = (
    Rubric(
        name="task_completion",
        text="Did the agent get done what the caller came for, or, where that was not possible or not allowed, say so "
        "and take the right next step?",
        worst="The caller's request was ignored, refused without a reason, or claimed done when it was not.",
        best="Everything the caller asked for was done, or rightly declined with a clear next step.",
    ),
    Rubric(
        name="tone",
        text="Was the agent polite, patient and fitting for the caller's mood throughout?",
        worst="Rude, dismissive, mocking, or cold towards a caller in distress.",
        best="Warm, respectful and calm from first to last.",
    ),
    Rubric(
        name="tool_accuracy",
        text="Were the right tools called, with arguments that match what the caller said, and were their results "
        "used truthfully?",
        worst="Wrong tools, wrong or invented arguments, or results ignored or misreported.",
        best="Every call was needed and right, and what the agent said agrees with what the tools returned.",
        applies="WhenToolsUsed",
    ),
    Rubric(
        name="response_relevance",
        text="Did each answer address what the caller had just said, without padding, repetition or digression?",
        worst="Answers talk past the caller, repeat themselves or wander off.",
        best="Every answer is to the point.",
    ),
)

DEFAULT_GATES = (
    GateRule(metric=OVERALL, min=3.5, severity="critical", action="Rollback", confirm="UpperBound"),
    GateRule(metric="task_completion", min=3.0, severity="critical", action="Rollback", confirm="UpperBound"),
    GateRule(metric="tone", min=3.0, severity="warning", action="Alert", confirm="None"),
    GateRule(metric="tool_accuracy", min=3.5, severity="critical", action="Rollback", confirm="UpperBound"),
    GateRule(metric="response_relevance", min=3.5, severity="warning", action="Alert", confirm="None"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomPattern:
    """Something else to redact: what `pattern`, a regular expression of Python, matches becomes `[name]`."""

    name: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What of a session's content leaves the pod, and what of it stays."""

    content: Content = "redacted"
    """full: as told. redacted: what matches is replaced before anything leaves the pod. none: redacted, and besides
    nothing of the content stays once the session is judged (no reasons, no transcript in dead letters)."""
    redact: tuple[Preset, ...] = ("email", "phone", "card", "iban")
    """What is found without patterns of one's own."""
    patterns: tuple[CustomPattern, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What the judge's model costs: money, in any one currency, for a million tokens."""

    input: float
    output: float

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The money that so many tokens cost."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What judging may cost. None: no limit. An hour and a day are the last ones, not those of the clock."""

    sessions_per_hour: int | None = None
    tokens_per_hour: int | None = None
    money_per_day: float | None = None
    """In the currency of the price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything about the evaluation of one agent."""

    sampling_rate: float = 0.1
    judge: JudgeSettings = JudgeSettings()
    price: Price | None = None
    budget: Budget = Budget()
    rubrics: tuple[Rubric, ...] = BUILT_IN_RUBRICS
    window: Window = Window()
    gates: tuple[GateRule, ...] = DEFAULT_GATES
    capture: Capture = Capture()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of a score in their fixed order: the overall average, then one per rubric."""
        return (OVERALL, *(rubric.name for rubric in self.rubrics))
