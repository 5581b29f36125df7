"""Valid resources become the values that they stand for."""

import subprocess
import sys
from collections.abc import Callable

from sluicegate.experiment import Override, Variant
from sluicegate.policy import BUILT_IN_RUBRICS, Budget, GateRule, JudgeSettings, Policy, Price, Rubric, Window
from sluicegate.resources.experiment import ExperimentResource, RampStep
from sluicegate.resources.load import Resources
from sluicegate.resources.policy import PolicyResource

Load = Callable[[str], Resources]

HEAD = "apiVersion: sluicegate.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: plain}}\nspec:\n  agent: receptionist\n"
EMPTY_POLICY = HEAD.format(kind="EvaluationPolicy")
VARIANTS = "  variants: [{name: a, control: true}, {name: b}]\n"
PLAIN_EXPERIMENT = HEAD.format(kind="Experiment") + VARIANTS


def test_every_field_of_an_experiment_reaches_its_value(loaded: Load, experiment: str, policy: str) -> None:
    """Shares are 0 to 1 in the value and percent in the file; everything else is taken as it is."""
    resources = loaded(experiment + "---\n" + policy)
    (read,) = resources.experiments
    assert read == ExperimentResource(
        namespace="dental",
        name="warmer-greeting",
        agent="receptionist",
        run_id="7",
        paused=True,
        unit="Session",
        salt="pepper",
        on_stale="ControlOnly",
        stale_after=600.0,
        variants=(
            Variant(name="control", control=True, config={"model": "gpt-4o"}),
            Variant(name="warm", config={"model": "gpt-4o", "temperature": 0.4}),
        ),
        steps=(RampStep(weight=0.1, min_sessions=50), RampStep(weight=0.2, min_sessions=60)),
        holdback=0.04,
        margin=0.4,
        on_inconclusive="Rollback",
        deadline_seconds=36 * 3600.0,
        primary="tone",
        wait_seconds=90.0,
        sampling_rate=0.5,
        overrides=(
            Override(variant="warm", caller_hash="0a1b"),
            Override(variant="control", attribute="team", value="qa"),
        ),
        source=read.source,
    )
    assert read.source.endswith("resources.yaml:1")


def test_what_staleness_does_reaches_its_value(loaded: Load) -> None:
    """Onstale and its seconds are taken as they are, and reach what the sidecars get."""
    assignment = "  assignment: {onStale: KeepSplit, staleAfterSeconds: 60}\n"
    (read,) = loaded(PLAIN_EXPERIMENT + assignment).experiments
    assert (read.on_stale, read.stale_after) == ("KeepSplit", 60.0)
    assert (read.in_force(0).on_stale, read.in_force(0).stale_after) == ("KeepSplit", 60.0)


def test_every_field_of_a_policy_reaches_its_value(loaded: Load, policy: str) -> None:
    """Minutes become seconds, own rubrics follow the built-in ones, and gates get action and confirmation."""
    (read,) = loaded(policy).policies
    assert read == PolicyResource(
        namespace="dental",
        name="strict",
        agent="receptionist",
        policy=Policy(
            sampling_rate=0.2,
            judge=JudgeSettings(
                model="gpt-4o", temperature=None, context="A dental practice.", timeout=20.0, max_transcript_chars=5000
            ),
            price=Price(input=0.15, output=0.6),
            budget=Budget(sessions_per_hour=100, tokens_per_hour=500_000, money_per_day=2.5),
            rubrics=(
                *BUILT_IN_RUBRICS,
                Rubric(
                    name="empathy",
                    text="Was the caller's worry met?",
                    worst="Ignored.",
                    best="Met.",
                    applies="JudgeDecides",
                ),
            ),
            window=Window(seconds=1800, min_sessions=5),
            gates=(
                GateRule(metric="empathy", min=3.0, severity="critical", action="Rollback", confirm="UpperBound"),
                GateRule(
                    metric="tone", min=2.5, severity="warning", action="Pause", confirm="UpperBound", recover_by=0.5
                ),
            ),
        ),
        source=read.source,
    )


def test_an_empty_policy_is_the_default_one(loaded: Load) -> None:
    """The defaults of the schema are those of the values."""
    (read,) = loaded(EMPTY_POLICY).policies
    assert read.policy == Policy()
    assert (read.namespace, read.name, read.agent) == ("default", "plain", "receptionist")


def test_a_plain_experiment_has_the_defaults_that_are_documented(loaded: Load) -> None:
    """Agent and variants are all that must be given."""
    (read,) = loaded(PLAIN_EXPERIMENT).experiments
    assert read == ExperimentResource(
        namespace="default",
        name="plain",
        agent="receptionist",
        run_id="1",
        paused=False,
        unit="Caller",
        salt="plain/1",
        on_stale="ControlOnly",
        stale_after=600.0,
        variants=(Variant(name="a", control=True), Variant(name="b")),
        steps=(
            RampStep(weight=0.1, min_sessions=50),
            RampStep(weight=0.2, min_sessions=50),
            RampStep(weight=0.5, min_sessions=100),
        ),
        holdback=0.05,
        margin=0.25,
        on_inconclusive="Hold",
        deadline_seconds=7 * 24 * 3600.0,
        primary="task_completion",
        wait_seconds=15 * 60.0,
        sampling_rate=1.0,
        overrides=(),
        source=read.source,
    )


def test_null_where_none_may_be_counts_as_absent(loaded: Load) -> None:
    """As on an API server: a field left empty gets its default, and an optional one is not there."""
    text = PLAIN_EXPERIMENT + "  runId:\n  overrides: null\n  ramp: {holdback: ~}\n  assignment: {salt: }\n"
    (read,) = loaded(text).experiments
    (plain,) = loaded(PLAIN_EXPERIMENT).experiments
    assert read == plain


def test_a_temperature_of_null_is_not_a_temperature_left_out(loaded: Load) -> None:
    """Null means that none is sent; left out, it is 0."""
    (nothing,) = loaded(EMPTY_POLICY + "  judge: {temperature: null}\n").policies
    (zero,) = loaded(EMPTY_POLICY + "  judge: {}\n").policies
    assert (nothing.policy.judge.temperature, zero.policy.judge.temperature) == (None, 0.0)


def test_an_own_rubric_takes_the_place_of_the_built_in_one(loaded: Load) -> None:
    """The order of the metrics stays, so that `tone` stays the second of them."""
    text = EMPTY_POLICY + "  rubrics: [{name: tone, text: Curt?, worst: No, best: 'Yes'}]\n".replace("No", "'No'")
    (read,) = loaded(text).policies
    assert read.policy.metrics == Policy().metrics
    assert read.policy.rubrics[1] == Rubric(name="tone", text="Curt?", worst="No", best="Yes")


def test_an_empty_list_of_gates_is_no_gates(loaded: Load) -> None:
    """A given list is the whole list."""
    (read,) = loaded(EMPTY_POLICY + "  gates: []\n").policies
    assert read.policy.gates == ()


def test_action_and_confirmation_follow_from_severity_and_action(loaded: Load) -> None:
    """Critical rolls back, a warning alerts; only a rollback waits for the upper bound."""
    text = (
        EMPTY_POLICY
        + """\
  gates:
  - {metric: tone, min: 3}
  - {metric: task_completion, min: 3, severity: warning}
  - {metric: tool_accuracy, min: 3, action: Pause}
  - {metric: overall_average, min: 3, severity: warning, action: Rollback}
  - {metric: response_relevance, min: 3, confirm: None}
"""
    )
    (read,) = loaded(text).policies
    assert [(gate.severity, gate.action, gate.confirm) for gate in read.policy.gates] == [
        ("critical", "Rollback", "UpperBound"),
        ("warning", "Alert", "None"),
        ("critical", "Pause", "None"),
        ("warning", "Rollback", "UpperBound"),
        ("critical", "Rollback", "None"),
    ]


def test_numbers_have_the_types_of_the_values(loaded: Load) -> None:
    """10 and 10.0 are the same weight and the same count, and compare with 20.5."""
    steps = "[{weight: 10.0, minSessions: 5.0}, {weight: 20, minSessions: 5}, {weight: 20.5, minSessions: 5}]"
    text = PLAIN_EXPERIMENT + f"  ramp: {{steps: {steps}}}\n  sampling: {{rate: 1}}\n"
    (read,) = loaded(text).experiments
    assert [step.weight for step in read.steps] == [0.1, 0.2, 0.205]
    assert isinstance(read.steps[0].min_sessions, int)
    assert isinstance(read.sampling_rate, float)


def test_the_configuration_is_handed_on_untouched(loaded: Load) -> None:
    """Whatever is in it, under whatever names, in the types it was written in; anchors are resolved."""
    text = """\
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata: {name: warmer-greeting, namespace: dental, labels: {team: voice}, annotations: {note: "1"}}
spec:
  agent: receptionist
  runId: "1"
  paused: false
  assignment: {unit: Caller}
  variants:
  - {name: control, control: true, config: &shared {model: gpt-4o, systemPrompt: "You are a friendly receptionist..."}}
  - name: warm
    config:
      base: *shared
      unknown field: [1, 2.5, null, true, {deep: [x]}]
      date: 2026-11-23
      opens: 09:30
      prompt: |
        You are warm.
        ---not a separator
  ramp:
    steps: [{weight: 10, minSessions: 50}, {weight: 20, minSessions: 50}, {weight: 50, minSessions: 100}]
    holdback: 5
  analysis: {primary: task_completion}
  sampling: {rate: 1.0}
  overrides: [{callerHash: 5f, variant: warm}]
status: {phase: Running, whatever: [1]}
"""
    (read,) = loaded(text).experiments
    assert read.variants[1].config == {
        "base": {"model": "gpt-4o", "systemPrompt": "You are a friendly receptionist..."},
        "unknown field": [1, 2.5, None, True, {"deep": ["x"]}],
        "date": "2026-11-23",
        "opens": "09:30",
        "prompt": "You are warm.\n---not a separator\n",
    }


def test_a_file_as_an_api_server_gives_it_back_is_valid(loaded: Load) -> None:
    """What `kubectl get -o yaml` adds to metadata and status does not matter."""
    text = EMPTY_POLICY.replace(
        "{name: plain}",
        '{name: plain, uid: a-b, resourceVersion: "12", generation: 2, creationTimestamp: "2026-11-23T08:00:00Z",'
        " managedFields: [{manager: kubectl}], finalizers: [], ownerReferences: []}",
    )
    (read,) = loaded(text + "status: [what, ever]\n").policies
    assert read.name == "plain"


def test_values_and_errors_are_cheap_to_import() -> None:
    """Who only needs the values does not pay for YAML, JSON Schema and CEL."""
    code = (
        "import sys, sluicegate.resources.errors, sluicegate.resources.experiment, sluicegate.resources.policy\n"
        "print([name for name in ('ruamel.yaml', 'jsonschema', 'cel') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**_environ()}
    )
    assert printed.stdout.strip() == "[]"


def _environ() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(sys.path)}
