"""A valid resource of each kind, and the changes that make it invalid, with what is to be said of each."""

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


EXPERIMENTS = [
    # what is replaced, by what, line, field, a part of the message
    ("apiVersion: sluicegate.dev/v1alpha1", "apiVersion: v1", 1, "apiVersion", "sluicegate.dev/v1alpha1"),
    ("apiVersion: sluicegate.dev/v1alpha1", "{}", 2, "", "not YAML"),
    ("kind: Experiment", "kind: experiment", 2, "kind", "EvaluationPolicy"),
    ("kind: Experiment", "kind: [Experiment]", 2, "kind", "Experiment (sluicegate.dev/v1alpha1)"),
    ("kind: Experiment", "sort: Experiment", 1, "kind", "is required"),
    ("  name: warmer-greeting\n", "", 3, "metadata.name", "is required"),
    ("name: warmer-greeting", "name: Warmer", 4, "metadata.name", "lower-case"),
    ("name: warmer-greeting", "name: " + "w" * 64, 4, "metadata.name", "at most 63 characters, not 64"),
    ("name: warmer-greeting", "name: 12", 4, "metadata.name", "quote it"),
    ("namespace: dental", "namespace: den.tal", 5, "metadata.namespace", "lower-case"),
    ("namespace: dental", "namepsace: dental", 5, "metadata.namepsace", 'did you mean "namespace"?'),
    ("namespace: dental", "labels: {a: 1}", 5, "metadata.labels.a", "quote it"),
    ("spec:", "specs:", 1, "spec", "is required"),
    ("  agent: receptionist\n", "", 6, "spec.agent", "is required"),
    ("agent: receptionist", "agent:", 7, "spec.agent", "is required"),
    ("agent: receptionist", "agent: Front Desk", 7, "spec.agent", 'not "Front Desk"'),
    ("agent: receptionist", 'agent: "desk\\n"', 7, "spec.agent", "lower-case"),
    ('runId: "7"', "runId: 7", 8, "spec.runId", "must be a string, and 7 is a number: quote it"),
    ('runId: "7"', "runId: 12e5", 8, "spec.runId", "quote it"),
    ('runId: "7"', 'runId: ""', 8, "spec.runId", "letters"),
    ('runId: "7"', 'run_id: "7"', 8, "spec.run_id", 'did you mean "runId"?'),
    ('runId: "7"', "runId: -7", 8, "spec.runId", "quote it"),
    ("paused: true", "paused: yes", 9, "spec.paused", "write true or false"),
    ("paused: true", 'paused: "true"', 9, "spec.paused", 'must be true or false, not "true"'),
    ("paused: true", "approval: Manual", 9, "spec.approval", "unknown field (known: agent, analysis"),
    ("unit: Session", "unit: session", 11, "spec.assignment.unit", 'did you mean "Session"?'),
    ("unit: Session", "unit: 3", 11, "spec.assignment.unit", "must be one of Caller, Session"),
    ("salt: pepper", 'salt: ""', 12, "spec.assignment.salt", "at least 1 character"),
    ("salt: pepper", "salt: " + "s" * 254, 12, "spec.assignment.salt", "at most 253 characters"),
    ("  - name: control\n    control: true\n    config: {model: gpt-4o}\n", "", 13, "spec.variants", "exactly 2 items"),
    ("  - name: warm\n", "  - name: third\n  - name: warm\n", 13, "spec.variants", "exactly 2 items, not 3"),
    ("control: true", "control: false", 13, "spec.variants", "exactly one of the variants"),
    ("  - name: warm\n", "  - name: warm\n    control: true\n", 13, "spec.variants", "exactly one of the variants"),
    ("  - name: warm\n", "  - name: control\n", 13, "spec.variants", "different names"),
    ("  - name: warm\n", "  - nmae: warm\n", 17, "spec.variants[1].nmae", 'did you mean "name"?'),
    ("  - name: warm\n", "  - name: on\n", 17, "spec.variants[1].name", "quote it"),
    ("config: {model: gpt-4o}\n", "config: gpt-4o\n", 16, "spec.variants[0].config", "must be a mapping"),
    ("config: {model: gpt-4o}\n", "config: {n: 1}\n", 16, "spec.variants[0].config.n", "quote it"),
    (
        "config: {model: gpt-4o}\n",
        f"config: {{{', '.join(f'k{number}: 1' for number in range(65))}}}\n",
        16,
        "spec.variants[0].config",
        "at most 64 keys, not 65",
    ),
    ("weight: 10,", "weight: 0,", 21, "spec.ramp.steps[0].weight", "must be more than 0, not 0"),
    ("weight: 20,", "weight: 100.5,", 22, "spec.ramp.steps[1].weight", "must be at most 100, not 100.5"),
    ("weight: 20,", "weight: 10.0,", 20, "spec.ramp.steps", "must rise"),
    ("weight: 10,", "weight: 30,", 20, "spec.ramp.steps", "must rise"),
    ("weight: 20,", "wieght: 20,", 22, "spec.ramp.steps[1].weight", "is required"),
    ("weight: 20,", 'weight: "20%",', 22, "spec.ramp.steps[1].weight", "must be a number"),
    ("minSessions: 60", "minSessions: 0", 22, "spec.ramp.steps[1].minSessions", "must be at least 1"),
    ("minSessions: 60", "minSessions: 1.5", 22, "spec.ramp.steps[1].minSessions", "must be a whole number, not 1.5"),
    ("minSessions: 60", "minSessions: 1_000", 22, "spec.ramp.steps[1].minSessions", "plain decimals"),
    ("minSessions: 60", "minSessions: 060", 22, "spec.ramp.steps[1].minSessions", "plain decimals"),
    ("holdback: 4", "holdback: 51", 23, "spec.ramp.holdback", "must be at most 50"),
    ("holdback: 4", "holdback: .nan", 23, "spec.ramp.holdback", "not a number"),
    ("margin: 0.4", "margin: 0", 24, "spec.ramp.margin", "must be more than 0"),
    ("margin: 0.4", "margin: 2.5", 24, "spec.ramp.margin", "must be at most 2, not 2.5"),
    ("onInconclusive: Rollback", "onInconclusive: RollBack", 25, "spec.ramp.onInconclusive", "one of Hold, Rollback"),
    ("progressDeadline: 36h", "progressDeadline: 36", 26, "spec.ramp.progressDeadline", "quote it"),
    ("progressDeadline: 36h", "progressDeadline: 30s", 26, "spec.ramp.progressDeadline", "as in 90m, 12h or 7d"),
    ("progressDeadline: 36h", "progressDeadline: 0d", 26, "spec.ramp.progressDeadline", "whole number"),
    ("wait: 90s", "wait: 2d", 29, "spec.analysis.wait", "as in 30s, 15m or 2h"),
    ("primary: tone", "primary: overall_average", 28, "spec.analysis.primary", "name one metric"),
    ("primary: tone", "primary: Tone", 28, "spec.analysis.primary", "lower-case"),
    ("primary: tone", "primary: warmth", 28, "spec.analysis.primary", "must be a metric of the default policy"),
    ("rate: 0.5", "rate: 0", 31, "spec.sampling.rate", "must be more than 0"),
    ("rate: 0.5", "rate: 50", 31, "spec.sampling.rate", "must be at most 1, not 50"),
    ("  - variant: warm", "  - variant: cold", 32, "spec.overrides", "one of the experiment's variants"),
    ("callerHash: 0a1b", "callerHash: 0A1B", 34, "spec.overrides[0].callerHash", "hexadecimal"),
    ("callerHash: 0a1b", "callerHash: 1234", 34, "spec.overrides[0].callerHash", "quote it"),
    ("    callerHash: 0a1b\n", "", 33, "spec.overrides[0]", "exactly one of callerHash and attribute"),
    (
        "{variant: control, ",
        "{variant: control, callerHash: ff, ",
        35,
        "spec.overrides[1]",
        "exactly one of callerHash",
    ),
    ("attribute: {name: team, value: qa}", "attribute: team", 35, "spec.overrides[1].attribute", "must be a mapping"),
    (", value: qa", "", 35, "spec.overrides[1].attribute.value", "is required"),
]

POLICIES = [
    ("  agent: receptionist\n", "", 4, "spec.agent", "is required"),
    ("sampling: {rate: 0.2}", "sampling: {rate: 1.1}", 6, "spec.sampling.rate", "must be at most 1"),
    ("sampling: {rate: 0.2}", "sampling: 0.2", 6, "spec.sampling", "must be a mapping, not 0.2"),
    ("model: gpt-4o", 'model: ""', 8, "spec.judge.model", "at least 1 character"),
    ("temperature: null", "temperature: 3", 9, "spec.judge.temperature", "must be at most 2"),
    ("temperature: null", "temperature: hot", 9, "spec.judge.temperature", 'must be a number or null, not "hot"'),
    ("timeoutSeconds: 20", "timeout: 20", 11, "spec.judge.timeout", 'did you mean "timeoutSeconds"?'),
    ("timeoutSeconds: 20", "timeoutSeconds: 601", 11, "spec.judge.timeoutSeconds", "must be at most 600"),
    ("timeoutSeconds: 20", "timeoutSeconds: 20s", 11, "spec.judge.timeoutSeconds", 'whole number, not "20s"'),
    ("maxTranscriptChars: 5000", "maxTranscriptChars: 999", 12, "spec.judge.maxTranscriptChars", "at least 1000"),
    ("price: {input: 0.15, output: 0.6}", "price: {input: 0.15}", 13, "spec.judge.price.output", "is required"),
    ("price: {input: 0.15, output: 0.6}", "price: free", 13, "spec.judge.price", "must be a mapping"),
    ("    price: {input: 0.15, output: 0.6}\n", "", 13, "spec.judge.budget", "moneyPerDay needs price"),
    ("sessionsPerHour: 100", "sessionsPerHour: 0", 14, "spec.judge.budget.sessionsPerHour", "at least 1"),
    ("sessionsPerHour: 100", "sessionsPerDay: 100", 14, "spec.judge.budget.sessionsPerDay", "sessionsPerHour"),
    ("moneyPerDay: 2.5", "moneyPerDay: -1", 14, "spec.judge.budget.moneyPerDay", "at least 0.01"),
    ("name: empathy", "name: Empathy", 16, "spec.rubrics[0].name", "underscores"),
    ("name: empathy", "name: overall_average", 16, "spec.rubrics[0].name", "choose another name"),
    ("    worst: Ignored.\n", "", 16, "spec.rubrics[0].worst", "is required"),
    ("worst: Ignored.", "worst: " + "x" * 4097, 18, "spec.rubrics[0].worst", "at most 4096"),
    ("applies: JudgeDecides", "applies: Never", 20, "spec.rubrics[0].applies", "must be one of Always"),
    (
        "    applies: JudgeDecides\n",
        "  - {name: empathy, text: a, worst: b, best: c}\n",
        20,
        "spec.rubrics[1].name",
        "is there already, at index 0",
    ),
    ("minutes: 30", "minutes: 0", 22, "spec.window.minutes", "at least 1"),
    ("minSessions: 5\n", "minSessions: many\n", 23, "spec.window.minSessions", "whole number"),
    ("  gates:\n", "  gates: {tone: 3}\n  gate:\n", 24, "spec.gates", "must be a list, not a mapping"),
    ("metric: empathy", "metric: sympathy", 24, "spec.gates", "every gate needs a metric that exists"),
    ("metric: empathy", "metric: tone", 27, "spec.gates[1].metric", "is there already"),
    ("min: 3\n", "min: 0.5\n", 26, "spec.gates[0].min", "must be at least 1, not 0.5"),
    ("min: 3\n", "min: 6\n", 26, "spec.gates[0].min", "must be at most 5"),
    ("    min: 3\n", "", 25, "spec.gates[0].min", "is required"),
    ("severity: warning", "severity: Warning", 27, "spec.gates[1].severity", 'did you mean "warning"?'),
    ("action: Pause", "action: Stop", 27, "spec.gates[1].action", "Alert, Pause, Rollback"),
    ("confirm: UpperBound", "confirm: null, confrim: None", 27, "spec.gates[1].confrim", 'did you mean "confirm"?'),
    ("recoverBy: 0.5", "recoverBy: -1", 27, "spec.gates[1].recoverBy", "at least 0"),
]
