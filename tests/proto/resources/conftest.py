"""A valid resource of each kind, whose lines the tests change one by one, and the ways to read them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.resources.errors import ResourceErrors, ResourceProblem
from sluicegate.resources.load import Resources, load

EXPERIMENT = """\
apiVersion: sluicegate.dev/v1alpha1
kind: Experiment
metadata:
  name: warmer-greeting
  namespace: dental
spec:
  agent: receptionist
  runId: "7"
  paused: true
  assignment:
    unit: Session
    salt: pepper
  variants:
  - name: control
    control: true
    config: {model: gpt-4o}
  - name: warm
    config: {model: gpt-4o, temperature: 0.4}
  ramp:
    steps:
    - {weight: 10, minSessions: 50}
    - {weight: 20, minSessions: 60}
    holdback: 4
    margin: 0.4
    onInconclusive: Rollback
    progressDeadline: 36h
  analysis:
    primary: tone
    wait: 90s
  sampling:
    rate: 0.5
  overrides:
  - variant: warm
    callerHash: 0a1b
  - {variant: control, attribute: {name: team, value: qa}}
"""

POLICY = """\
apiVersion: sluicegate.dev/v1alpha1
kind: EvaluationPolicy
metadata: {name: strict, namespace: dental}
spec:
  agent: receptionist
  sampling: {rate: 0.2}
  judge:
    model: gpt-4o
    temperature: null
    context: A dental practice.
    timeoutSeconds: 20
    maxTranscriptChars: 5000
    price: {input: 0.15, output: 0.6}
    budget: {sessionsPerHour: 100, tokensPerHour: 500000, moneyPerDay: 2.5}
  rubrics:
  - name: empathy
    text: Was the caller's worry met?
    worst: Ignored.
    best: Met.
    applies: JudgeDecides
  window:
    minutes: 30
    minSessions: 5
  gates:
  - metric: empathy
    min: 3
  - {metric: tone, min: 2.5, severity: warning, action: Pause, confirm: UpperBound, recoverBy: 0.5}
"""


@pytest.fixture
def experiment() -> str:
    """The text of a valid Experiment with every field given."""
    return EXPERIMENT


@pytest.fixture
def policy() -> str:
    """The text of a valid EvaluationPolicy with every field given."""
    return POLICY


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str | bytes], Resources]:
    """Loads the text as one file."""

    def load_text(text: str | bytes) -> Resources:
        file = tmp_path / "resources.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load([file])

    return load_text


@pytest.fixture
def problems(loaded: Callable[[str | bytes], Resources]) -> Callable[[str | bytes], tuple[ResourceProblem, ...]]:
    """All problems of the text as one file, none if it is valid."""

    def problems_of(text: str | bytes) -> tuple[ResourceProblem, ...]:
        try:
            loaded(text)
        except ResourceErrors as errors:
            return errors.problems
        return ()

    return problems_of
