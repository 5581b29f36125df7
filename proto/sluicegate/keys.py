"""Redis key names. All keys of an agent share a hash tag: one slot of a cluster, one script over all of them."""

from dataclasses import dataclass

VERSION = "sg1"
JUDGES = "judges"
"""The consumer group of the queue."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one agent in one namespace."""

    namespace: str
    agent: str

    def _key(self, name: str) -> str:
        return f"{VERSION}:{{{self.namespace}/{self.agent}}}:{name}"

    @property
    def snapshot(self) -> str:
        """Hash: the fields of `sluicegate.snapshot`."""
        return self._key("snapshot")

    @property
    def notices(self) -> str:
        """Channel: a `sluicegate.records.Notice` for each new snapshot and each halt."""
        return self._key("notices")

    @property
    def halts(self) -> str:
        """Hash, grow-only: `experiment/run/variant` → `sluicegate.records.Halt`."""
        return self._key("halts")

    @property
    def queue(self) -> str:
        """Stream: sessions to judge. An entry is there until it is scored, or dead."""
        return self._key("queue")

    @property
    def open(self) -> str:
        """Sorted set: open session → Unix milliseconds of its last event."""
        return self._key("open")

    def open_session(self, session_id: str) -> str:
        """Stream: the start and the items of one open session, by sequence number."""
        return self._key(f"open:{session_id}")

    @property
    def late(self) -> str:
        """Stream: items that came after their session was closed."""
        return self._key("late")

    @property
    def feedback(self) -> str:
        """Stream: what people and programs said of sessions."""
        return self._key("feedback")

    @property
    def dead(self) -> str:
        """Stream: sessions that could not be judged, each with the reason."""
        return self._key("dead")

    @property
    def log(self) -> str:
        """Stream: one `sluicegate.records.ScoreRecord` per scored session, the source of truth for analysis."""
        return self._key("log")

    @property
    def events(self) -> str:
        """Stream: one `sluicegate.records.GateEvent` per transition."""
        return self._key("events")

    @property
    def gates(self) -> str:
        """Hash: series → the state of its gates, `sluicegate.reading.StoredGates`. Changes when a gate does."""
        return self._key("gates")

    @property
    def sums(self) -> str:
        """Hash: series → the totals that its gates were last read of, `sluicegate.reading`. Changes at every score."""
        return self._key("sums")

    @property
    def account(self) -> str:
        """Hash: counters of sessions acknowledged and not sampled."""
        return self._key("account")

    @property
    def caller_key(self) -> str:
        """String: the key under which callers are hashed."""
        return self._key("caller-key")

    @property
    def rollout(self) -> str:
        """Hash: experiment → the controller's own state of it, where no Kubernetes keeps one."""
        return self._key("rollout")

    @property
    def reports(self) -> str:
        """Hash: experiment → the controller's last report of it, JSON. Erasing a session deletes all of it."""
        return self._key("reports")

    def seen(self, day: str) -> str:
        """Hash: session id → what became of it. `day` is the UTC day of the recording, YYYY-MM-DD."""
        return self._key(f"seen:{day}")

    def window(self, revision: str, seconds: int) -> str:
        """Hash: buckets and totals of one judge revision over a window of `seconds`."""
        return self._key(f"window:{revision}:{seconds}")


def series(experiment: str, run_id: str, variant: str) -> str:
    """The name of the series of one variant."""
    return f"{experiment}/{run_id}/{variant}"


UNATTRIBUTED = series("", "", "")
"""The series of sessions that no experiment assigned."""


AGENT_SERIES = "*"
"""The series of the agent as a whole: the sum of all others."""
