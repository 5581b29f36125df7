"""The report as a value: it is the evidence and the decision themselves, bounded, and without what was erased."""

import math
from dataclasses import replace

import pytest
from ramps import a_halt, a_reading, gates
from reports import KEYS, METRICS, SECONDS_APART, START, Run
from scored import PLAN

from sluicegate.records import ScoreRecord
from sluicegate_operator.analysis.safety import margin_at
from sluicegate_operator.reporting import outlook
from sluicegate_operator.reporting.build import MOST_REASON_CHARS, WORST_SHOWN, report_of
from sluicegate_operator.reporting.report import MOST_BYTES, Report, decode, encode
from sluicegate_operator.rollout.decide import decide
from sluicegate_operator.rollout.verdicts import Hold


@pytest.mark.parametrize("sessions", [0, 30, 400, 800])
def test_it_is_the_decision_itself(sessions: int) -> None:
    """The sentence, the reason and what is needed are those that `decide` gives on the same evidence, at any time."""
    run = Run().sessions(sessions)
    report = run.report()
    assert run.outcome is not None
    assert run.outcome.state.resource is not None
    assert run.evidence is not None
    decision = decide(run.outcome.state.resource, run.outcome.state, run.evidence, report.at)
    assert isinstance(decision, Hold)
    told = report.decision
    assert (told.kind, told.reason, told.message, told.needed) == (
        "Hold",
        decision.reason,
        decision.message,
        decision.needed,
    )


def test_it_is_the_evidence_itself() -> None:
    """Numbers of sessions, means, and evidence are those of the comparison that decides."""
    run = Run(fall=0.2).sessions(400)
    report = run.report()
    assert run.evidence is not None
    of = run.evidence.comparison
    assert of.primary is not None
    assert report.log_harm == of.log_harm
    assert report.log_safety == of.primary.log_safety[margin_at(0.1, PLAN.margin)]
    assert report.evidence_for_harm == pytest.approx(math.exp(of.log_harm))
    assert sum(variant.compared for variant in report.variants) == of.counted_treatment + of.counted_control
    assert [variant.metrics[0].mean for variant in report.variants] == [
        of.primary.treatment_mean,
        of.primary.control_mean,
    ]
    assert [difference.metric for difference in report.differences] == [
        "task_completion",
        *sorted(set(METRICS) - {"task_completion"}),
    ]


def test_what_it_counts_adds_up() -> None:
    """Sessions are scored or failed; scored ones are compared, of returning callers, or late; callers are distinct."""
    report = Run().sessions(400).report()
    for of in report.variants:
        assert of.sessions == of.scored + of.failed
        assert of.scored == of.compared + of.returning + of.late
        assert of.callers == of.sessions
        assert of.metrics[0].count == sum(of.metrics[0].given) == of.compared
        assert of.metrics[0].lower < (of.metrics[0].mean or 0) < of.metrics[0].upper
    assert sum(of.sessions for of in report.variants) + report.waiting_for_turn == 400


def test_a_difference_is_seen() -> None:
    """A fall of a point is inside of its interval, and all of that is under zero."""
    report = Run(fall=1.0).sessions(600).report()
    primary = report.differences[0]
    assert primary.lower < (primary.difference or 0) < primary.upper < 0
    assert (report.phase, report.decision.reason, report.weight) == ("RolledBack", "Harm", 0.0)
    assert "evidence for harm" in report.decision.message


def test_a_ramp_that_goes_on_tells_when() -> None:
    """The next decision at the pace of the sessions so far, and the end of the step's time."""
    report = Run().sessions(300).report()
    assert report.decision.expected_at is not None
    assert report.decision.expected_at > report.at
    assert "Next decision in about" in outlook.expectation(report)
    assert "The time for this step ends in 6 d" in outlook.expectation(report)
    assert outlook.expectation(replace(report, decision=replace(report.decision, kind="Complete"))) == ""


def test_a_decision_that_is_due_is_told_as_such() -> None:
    """A report that is made before the controller looked again says what its next look will do."""
    run = Run(fall=1.0).sessions(600)
    assert run.outcome is not None
    report = run.report(phase="Ramping")
    assert (report.decision.kind, report.decision.reason) == ("RollBack", "Harm")
    assert outlook.expectation(report) == "Decided at the controller's next look."


def test_a_winner_that_a_gate_shuts_out_is_about_to_go_back() -> None:
    """A complete run is over, but for a halt: that is told before the next look obeys it."""
    run = Run().sessions(1_500)
    assert run.evidence is not None
    assert run.report().decision.kind == "Complete"
    run.evidence = replace(run.evidence, halt=a_halt())
    report = run.report()
    assert (report.phase, report.decision.kind, report.decision.reason) == ("Complete", "RollBack", "Halted")


def test_a_state_of_an_earlier_version_has_a_report() -> None:
    """What it does not hold is left out; the decision is the one that it remembers."""
    run = Run().sessions(100)
    report = run.report(resource=None, history=())
    assert run.outcome is not None
    assert (report.steps, report.history, report.decision.deadline_at) == ((), (), None)
    assert report.decision.message == run.outcome.state.message


def test_a_new_judge_leaves_a_seam() -> None:
    """It is told when, and how much was put aside; the means are of the new judge alone."""
    run = Run(edit=lambda number, record: replace(record, judge_revision="r2") if number >= 200 else record)
    report = run.sessions(300).report()
    (seam,) = report.seams
    assert (seam.before, seam.after, report.judge_revision) == ("r1", "r2", "r2")
    assert seam.at == START + SECONDS_APART * 201
    assert sum(of.metrics[0].count for of in report.variants) < 100
    assert {point.revision for point in report.course} == {0, 1}
    assert "new evidence began" in outlook.seams(report)[0]


def test_gates_that_nobody_renews_are_unknown() -> None:
    """Their last numbers are shown, with the reason."""
    run = Run().sessions(20)
    assert run.evidence is not None
    assert run.outcome is not None
    stale = gates(START, tone=a_reading("OK"))
    evidence = replace(run.evidence, treatment=stale, control=None)
    report = report_of(KEYS, run.outcome.state, evidence, run.recording, [], 0, START + 100)
    (gate,) = report.gates
    assert (gate.gate, gate.state, gate.unknown_reason, gate.mean) == ("tone", "Unknown", "JudgeLag", 4.5)
    assert report_of(KEYS, run.outcome.state, evidence, run.recording, [], 0, START + 10).gates[0].state == "OK"


def test_a_halt_is_told_with_its_numbers() -> None:
    """The sentence of the rollback has the gate, its mean and its floor."""
    report = Run(halt=a_halt()).sessions(30).report()
    assert (report.phase, report.decision.reason) == ("RolledBack", "Halted")
    assert "task_completion is 2.12 over 17 sessions" in report.decision.message


def test_lost_scores_make_the_comparison_invalid() -> None:
    """As in the decision: it holds, and says so."""
    report = Run().sessions(30).report(lost=12)
    assert (report.comparison_valid, report.lost, report.decision.reason) == (False, 12, "EvidenceLost")
    assert any("12 scores of this run were lost" in line for line in outlook.left_out(report))


def test_the_worst_sessions_come_with_their_reasons() -> None:
    """Five of each variant, the worst first, a reason for each score."""
    report = Run().sessions(400).report()
    averages = [session.average for session in report.worst if session.variant == "warm"]
    assert averages == sorted(averages)
    assert len(report.worst) == 2 * WORST_SHOWN
    for session in report.worst:
        assert session.scores.keys() == session.reasons.keys() == set(METRICS)


def test_an_erased_session_is_not_shown() -> None:
    """Neither its id nor what the judge said of it; the next worst takes its place."""
    run = Run().sessions(400)
    worst = run.report().worst[0].session_id
    entry = next(arrival.entry for arrival in run.log if arrival.record.session_id == worst)
    report = run.report(gone=[entry])
    assert worst.encode() not in encode(report)
    assert len(report.worst) == 2 * WORST_SHOWN


def test_without_retained_content_there_are_scores_and_no_reasons() -> None:
    """A policy that keeps nothing of the content keeps no reasons, and the report has no other source of them."""
    report = Run(edit=lambda _, record: replace(record, reasons={})).sessions(50).report()
    assert all(session.scores and not session.reasons for session in report.worst)


def test_a_long_reason_is_cut() -> None:
    """A judge that goes on and on does not make the report as long."""

    def talkative(_: int, record: ScoreRecord) -> ScoreRecord:
        return replace(record, reasons={"task_completion": "so " * 1_000})

    report = Run(edit=talkative).sessions(50).report()
    reasons = [reason for session in report.worst for reason in session.reasons.values()]
    assert reasons
    assert all(len(reason) == MOST_REASON_CHARS and reason.endswith("…") for reason in reasons)


def test_json_there_and_back() -> None:
    """The document has all of the report."""
    report = Run(fall=1.0).sessions(300).report()
    assert decode(encode(report)) == report


def test_a_document_that_is_no_report_is_refused() -> None:
    """Garbage, and a report of a later schema, each by its name."""
    with pytest.raises(ValueError, match="not a report"):
        decode(b'{"schema": 1}')
    with pytest.raises(ValueError, match="schema 2"):
        decode(encode(replace(Run().sessions(0).report(), schema=2)))


def test_a_report_has_an_end() -> None:
    """The longest ids and reasons, in letters of four bytes: the worst sessions go, the rest stays."""
    long = "𝕏" * 250

    def loud(_: int, record: ScoreRecord) -> ScoreRecord:
        reasons = {f"{metric}{n}": long * 4 for metric in METRICS for n in range(20)}
        return replace(record, session_id=record.session_id + long, reasons=reasons)

    report: Report = Run(edit=loud).sessions(600).report()
    document = encode(report)
    assert len(document) <= MOST_BYTES
    assert decode(document) == replace(report, worst=())
