"""What of a session leaves the pod is said in the policy, and patterns that could run away are refused."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from sluicegate.policy import Capture, CustomPattern, JudgeSettings, Policy
from sluicegate.resources.crd import definitions
from sluicegate.resources.errors import ResourceProblem
from sluicegate.resources.load import Resources
from sluicegate.resources.pattern import most_steps
from sluicegate.resources.policy import MAX_PATTERN_CHARS
from sluicegate.revision import judge_revision

Load = Callable[[str], Resources]
Problems = Callable[[str], tuple[ResourceProblem, ...]]

EMPTY = """\
apiVersion: sluicegate.dev/v1alpha1
kind: EvaluationPolicy
metadata: {name: plain}
spec:
  agent: receptionist
"""


def with_pattern(pattern: str) -> str:
    quoted = pattern.replace("'", "''")
    return f"{EMPTY}  capture:\n    patterns:\n    - name: mine\n      pattern: '{quoted}'\n"


def test_every_field_reaches_its_value(loaded: Load) -> None:
    """In the order of the file."""
    text = EMPTY + (
        "  capture:\n    content: none\n    redact: [card, email]\n    patterns:\n"
        "    - {name: record, pattern: 'MRN \\d{6}'}\n    - {name: room, pattern: 'room \\d{1,4}'}\n"
    )
    (read,) = loaded(text).policies
    assert read.policy.capture == Capture(
        content="none",
        redact=("card", "email"),
        patterns=(
            CustomPattern(name="record", pattern=r"MRN \d{6}"),
            CustomPattern(name="room", pattern=r"room \d{1,4}"),
        ),
    )


@pytest.mark.parametrize("capture", ["", "  capture: {}\n", "  capture: {patterns: []}\n", "  capture: null\n"])
def test_what_is_left_out_is_redacted(loaded: Load, capture: str) -> None:
    """An empty policy is the default one, and the default one redacts all that it knows."""
    (read,) = loaded(EMPTY + capture).policies
    assert read.policy == Policy()
    assert read.policy.capture == Capture(content="redacted", redact=("email", "phone", "card", "iban"), patterns=())


def test_an_empty_list_of_presets_is_no_presets(loaded: Load) -> None:
    """A given list is the whole list."""
    (read,) = loaded(EMPTY + "  capture: {redact: []}\n").policies
    assert read.policy.capture.redact == ()


def test_scores_stay_comparable_when_capture_changes() -> None:
    """The judge revision is over what the judge is told of its task, not over what it may see."""
    capture = Capture(content="none", redact=(), patterns=(CustomPattern(name="a", pattern="a"),))
    assert judge_revision(replace(Policy(), capture=capture)) == judge_revision(Policy())
    assert judge_revision(replace(Policy(), judge=JudgeSettings(model="other"))) != judge_revision(Policy())


def test_a_policy_from_before_capture_is_redacted() -> None:
    """What an older operator wrote to Redis has no such field."""
    old = msgspec.to_builtins(Policy())
    del old["capture"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Policy).capture == Capture()


@pytest.mark.parametrize(
    ("capture", "field", "message"),
    [
        ("{content: nothing}", "spec.capture.content", "must be one of full, redacted, none"),
        ("{redact: [mail]}", "spec.capture.redact[0]", "must be one of email, phone, card, iban"),
        ("{redact: [card, email, card]}", "spec.capture.redact", "at most once"),
        ("{redact: [card, card, card, card, card]}", "spec.capture.redact", "must have at most 4 items"),
        ("{patterns: [{name: a}]}", "spec.capture.patterns[0].pattern", "is required"),
        ("{patterns: [{name: a, pattern: ''}]}", "spec.capture.patterns[0].pattern", "at least 1 character"),
        ("{patterns: [{name: A, pattern: a}]}", "spec.capture.patterns[0].name", "lower-case"),
        ("{patterns: [{name: card, pattern: a}]}", "spec.capture.patterns[0].name", "choose another name"),
        (
            "{patterns: [{name: a, pattern: a}, {name: a, pattern: b}]}",
            "spec.capture.patterns[1].name",
            "is there already",
        ),
        (f"{{patterns: [{{name: {'a' * 32}, pattern: a}}]}}", "spec.capture.patterns[0].name", "at most 31 characters"),
        (
            f"{{patterns: [{{name: a, pattern: {'(' * 513}}}]}}",
            "spec.capture.patterns[0].pattern",
            "at most 512 characters",
        ),
        (
            "{patterns: [" + ", ".join(f"{{name: a{i}, pattern: a}}" for i in range(17)) + "]}",
            "spec.capture.patterns",
            "at most 16 items",
        ),
    ],
)
def test_what_breaks_the_schema_is_named(problems: Problems, capture: str, field: str, message: str) -> None:
    """Once, with what must be; a pattern that is no pattern for the schema is not looked into."""
    (problem,) = problems(f"{EMPTY}  capture: {capture}\n")
    assert problem.field == field
    assert message in problem.message


def test_the_length_of_a_pattern_is_that_of_the_schema() -> None:
    """One bound, told in two places."""
    spec = definitions()["EvaluationPolicy"].schema["properties"]["spec"]["properties"]
    pattern = spec["capture"]["properties"]["patterns"]["items"]["properties"]["pattern"]
    assert pattern["maxLength"] == MAX_PATTERN_CHARS


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "must be a regular expression of Python: missing ), unterminated subpattern"),
        ("a)|(b", "must be a regular expression of Python: unbalanced parenthesis"),
        ("[[a]]", "must be a regular expression of Python: Possible nested set"),
        ("a{99999999999999999999}", "must be a regular expression of Python"),
        ("(?i)mrn", "write (?i:...) for (?i)..."),
        (r"\d*", "must not match nothing: let it take at least one character"),
        (r"\b", "must not match nothing"),
        (r"\d+", "every repetition needs an upper bound of 1000 at most; write {0,64} for * and {1,64} for +"),
        (r"\w+@", "every repetition needs an upper bound"),
        (r"(a+)+$", "every repetition needs an upper bound"),
        (r"\d++", "every repetition needs an upper bound"),
        (r"x.*?y", "every repetition needs an upper bound"),
        (r"a{1,1001}", "every repetition needs an upper bound"),
        (r"(?=x*)y", "every repetition needs an upper bound"),
        (r"(\d)\1", r"must not refer back to a group, as \1 does: write out what is to be matched"),
        (r"(a)?(?(1)b|c)", "must not refer back to a group"),
        (r"(a{1,9}){1,9}b", "steps from one place in the text, and 1000 are allowed"),
        (r"\w{1,64}\w{1,64}", "lower the bounds, or make repetitions possessive, as in \\w{1,40}+"),
        ("((a{1,900}){1,900}){1,900}b", "up to a billion or more steps"),
        ("(a|a){20}b", "could run away"),
    ],
)
def test_a_pattern_that_must_not_run_is_named_with_the_way_out(problems: Problems, pattern: str, message: str) -> None:
    """By its field, so that it is found among sixteen."""
    (problem,) = problems(with_pattern(pattern))
    assert problem.field == "spec.capture.patterns[0].pattern"
    assert message in problem.message


@pytest.mark.parametrize(
    "pattern",
    [
        r"MRN[ -]?\d{6,10}",
        r"\b[A-Z]{2}\d{6}[A-D]\b",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"(?i:patient|member) id:? \w{1,40}",
        r"(?:Mr|Mrs|Dr)\.? [A-Z]\w{1,40}+(?: [A-Z]\w{1,40}+)?",
        r"(?<=PIN )\d{4}(?!\d)",
        r"(?>\w{1,64})@corp",
        r"(?P<street>\w{1,40}+) Street \d{1,4}",
        r"it's: [^,]{1,60}",
        r"[\[]x[\]]",
    ],
)
def test_what_people_need_may_run(loaded: Load, pattern: str) -> None:
    """Bounded repetitions, choices, groups, looking around, case."""
    (read,) = loaded(with_pattern(pattern)).policies
    assert read.policy.capture.patterns == (CustomPattern(name="mine", pattern=pattern),)


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        ("abc", 3),
        ("a{2,5}", 5),
        ("a{2,5}b", 5 + 4),
        ("a{2,5}+b", 5 + 1),
        ("(?>a{2,5})b", 5 + 1),
        ("(?:ab?){2}c", (2 + 2 * 2) + 4),
        ("a|bc", 2 + 3),
        ("(?=ab)c", 2 + 1 + 1),
    ],
)
def test_the_steps_of_a_pattern(pattern: str, steps: int) -> None:
    """The sum over its parts of their steps times the ways that lead there."""
    assert most_steps(pattern) == steps
