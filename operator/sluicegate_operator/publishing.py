"""Publishes the report of a run whenever it has changed, but neither too often nor at too great a cost."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from sluicegate.records import SeriesGates
from sluicegate.snapshot import pack
from sluicegate_operator.analysis.evidence import Evidence
from sluicegate_operator.analysis.recording import Recording
from sluicegate_operator.analysis.scores import Scores
from sluicegate_operator.delivery.reports import Reports
from sluicegate_operator.errors import RedisAway
from sluicegate_operator.reporting.build import report_of, worst_entries
from sluicegate_operator.reporting.report import encode
from sluicegate_operator.rollout.state import RolloutState

PAUSE_SECONDS = 5.0
"""Between two reports of a run at least."""
COST = 20.0
"""And so many times what the last one took: intervals over 100,000 sessions take seconds."""

MANY = 1_000
"""Compared sessions over which a report is made in a thread: below, a thread costs more memory than it saves time."""

log = logging.getLogger(__name__)


class Publishing:
    """The reports of one agent, one after the other."""

    def __init__(self, reports: Reports, scores: Scores, clock: Callable[[], float] = time.monotonic) -> None:
        self._reports = reports
        self._scores = scores
        self._clock = clock
        self._next = 0.0
        self._told = b""
        """A digest of what the last report told: kept for a thousand agents, the thing itself is tens of megabytes."""

    async def offer(self, state: RolloutState, evidence: Evidence, recording: Recording, now: float) -> None:
        """Writes the report, if there is something new to tell and time for it. A Redis that is away costs nothing."""
        began = self._clock()
        if began < self._next:
            return
        self._next = began + PAUSE_SECONDS
        news = hashlib.sha256(pack((replace(state, version=0), _timeless(evidence)))).digest()
        try:
            if news == self._told and await self._reports.has(state.experiment):
                return
            entries = await self._scores.entries(worst_entries(recording, state.plan))
            waiting = await self._scores.waiting()
            told = (self._reports.keys, state, evidence, recording, list(entries.values()), waiting, now)
            compared = evidence.comparison.counted_treatment + evidence.comparison.counted_control
            report = report_of(*told) if compared < MANY else await asyncio.to_thread(report_of, *told)
            await self._reports.put(state.experiment, encode(report))
        except RedisAway as error:
            log.warning("%s; the report is written later", error)
            return
        self._told = news
        ended = self._clock()
        self._next = ended + max(PAUSE_SECONDS, COST * (ended - began))


def _timeless(evidence: Evidence) -> Evidence:
    """Without the moment at which its gates were renewed: that alone is nothing new."""

    def at_no_time(of: SeriesGates | None) -> SeriesGates | None:
        return of and replace(of, at=0)

    return replace(evidence, treatment=at_no_time(evidence.treatment), control=at_no_time(evidence.control))
