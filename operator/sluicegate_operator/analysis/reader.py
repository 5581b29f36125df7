"""All that is known of an agent's run now, read from where the last reading ended."""

import logging

from sluicegate_operator.analysis.comparison import Analysis
from sluicegate_operator.analysis.evidence import Evidence, evidence_of
from sluicegate_operator.analysis.plan import Plan
from sluicegate_operator.analysis.recording import Recording
from sluicegate_operator.analysis.scores import Cursor, Scores

log = logging.getLogger(__name__)


class EvidenceReader:
    """Keeps the comparison of one run in memory, and rebuilds it from the log where it is not of the run asked for."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        self._analysis: Analysis | None = None
        self._read_up_to = Cursor()
        self.recording: Recording | None = None
        """What a report shows of the run that was read last."""

    async def read(self, plan: Plan, *, anew: bool = False) -> Evidence:
        """The evidence for a run with this plan. `anew`: whatever was read before is of data that are no more."""
        analysis = self._analysis
        if anew or analysis is None or analysis.plan != plan:
            analysis = self._begin(plan)
        arrivals, cursor = await self._scores.since(self._read_up_to)
        if cursor.height < self._read_up_to.height:
            log.warning("Redis lost scores; the evidence is rebuilt from those that are left")
            analysis = self._begin(plan)
            arrivals, cursor = await self._scores.since(self._read_up_to)
        self._read_up_to = cursor
        for arrival in arrivals:
            analysis.arrive(arrival)
        analysis.advance(cursor.now)
        gates, halts = await self._scores.gates()
        return evidence_of(analysis.reading(), gates, halts, cursor.erased)

    def _begin(self, plan: Plan) -> Analysis:
        """An analysis of the whole log, from its beginning."""
        self.recording = Recording(plan)
        self._analysis, self._read_up_to = Analysis(plan, self.recording), Cursor()
        return self._analysis
