"""What judging an agent's sessions cost of late, and how many of them its budget allows to be judged. Pure."""

from dataclasses import dataclass

from sluicegate.policy import Budget
from sluicegate.records import Bill, FailedJudgement, ScoreRecord

HOUR = 3_600
DAY = 86_400
BUCKETS = 60
"""An hour is kept by the minute, a day by 24 minutes: what is a little older than the period still counts."""
SOONEST = 1 / 12
"""Of a period that has only begun, so much is taken to be over at least: five minutes of an hour."""
ENOUGH = 20
"""Bills before a period that has only begun is taken for what the whole of it will be like."""


@dataclass(frozen=True, slots=True)
class Affordable:
    """The share of the sessions that can be judged within the budget, 0 to 1, and the limit that says so."""

    rate: float
    limit: str
    """As a person reads it; empty where everything is affordable."""


@dataclass(frozen=True, slots=True)
class _Total:
    """Sums over one period: what was spent, and what it would have been, had every session been judged."""

    spent: float = 0.0
    demanded: float = 0.0

    def plus(self, amount: float, rate: float) -> "_Total":
        return _Total(self.spent + amount, self.demanded + amount / rate)


class _Period:
    """One quantity over the last hour or day."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._bucket = seconds / BUCKETS
        self._totals: dict[int, _Total] = {}
        self._first: float | None = None
        self._bills = 0

    def add(self, at: float, amount: float, rate: float) -> None:
        self._first = at if self._first is None else min(self._first, at)
        self._bills += 1
        bucket = int(at // self._bucket)
        self._totals[bucket] = self._totals.get(bucket, _Total()).plus(amount, rate)

    def spent(self, now: float) -> float:
        self._forget(now)
        return sum(total.spent for total in self._totals.values())

    def demanded(self, now: float) -> float:
        """In a whole period, were every session judged."""
        self._forget(now)
        if self._first is None:
            return 0.0
        begun = (now - self._first) / self._seconds if self._bills >= ENOUGH else 1.0
        return sum(total.demanded for total in self._totals.values()) / min(1.0, max(SOONEST, begun))

    def _forget(self, now: float) -> None:
        oldest = int((now - self._seconds) // self._bucket)
        for bucket in [bucket for bucket in self._totals if bucket < oldest]:
            del self._totals[bucket]
        if not self._totals:
            self._first, self._bills = None, 0


class Spending:
    """What was spent in the last hour and day. Times are Unix seconds; bills come in any order, each once."""

    def __init__(self) -> None:
        self._sessions = _Period(HOUR)
        self._tokens = _Period(HOUR)
        self._money = _Period(DAY)

    def add(self, at: float, bill: Bill | ScoreRecord | FailedJudgement) -> None:
        """A session that was judged, or could not be, at `at`."""
        if not 0 < bill.sampling_rate <= 1:
            return
        self._sessions.add(at, 1, bill.sampling_rate)
        self._tokens.add(at, bill.prompt_tokens + bill.completion_tokens, bill.sampling_rate)
        self._money.add(at, bill.cost, bill.sampling_rate)

    def exhausted(self, budget: Budget, now: float) -> str:
        """The limit that is reached, as a person reads it; empty if none is."""
        for limit, period, sentence in self._limits(budget):
            if period.spent(now) >= limit:
                return sentence
        return ""

    def affordable(self, budget: Budget, now: float) -> Affordable:
        """How many of the sessions can be judged, by what came lately, at the tightest limit."""
        affordable = Affordable(1.0, "")
        for limit, period, sentence in self._limits(budget):
            demanded = period.demanded(now)
            if demanded > limit and limit / demanded < affordable.rate:
                affordable = Affordable(limit / demanded, sentence)
        return affordable

    def _limits(self, budget: Budget) -> list[tuple[float, _Period, str]]:
        limits = [
            (budget.sessions_per_hour, self._sessions, "sessions an hour"),
            (budget.tokens_per_hour, self._tokens, "tokens an hour"),
            (budget.money_per_day, self._money, "a day"),
        ]
        return [(limit, period, f"{limit:,} {unit}") for limit, period, unit in limits if limit is not None]
