"""What judging cost of late, read from the logs, and how much of the traffic the budget allows to be judged."""

from sluicegate.policy import Budget
from sluicegate.spending import DAY, Affordable, Spending
from sluicegate_operator.analysis.scores import Cursor, Scores


class Bills:
    """The bills of one agent, each read once."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        self._spending = Spending()
        self._read_up_to: Cursor | None = None

    async def affordable(self, budget: Budget, now: float) -> Affordable:
        """What `budget` allows now, Unix seconds; RedisAway if the logs cannot be read."""
        if budget == Budget():
            return Affordable(1.0, "")
        if self._read_up_to is None:
            yesterday = str(max(0, int((now - DAY) * 1000))).encode()
            self._read_up_to = Cursor(scores=yesterday, failures=yesterday)
        arrivals, self._read_up_to = await self._scores.since(self._read_up_to)
        for arrival in arrivals:
            self._spending.add(arrival.at, arrival.record)
        return self._spending.affordable(budget, now)
