"""Every invalid resource is refused with the field, its line, and what to do."""

from collections.abc import Callable

import pytest
from invalid_resources import EXPERIMENTS, POLICIES

from sluicegate.resources.errors import ResourceErrors, ResourceProblem, field_name
from sluicegate.resources.load import Resources

Problems = Callable[[str], tuple[ResourceProblem, ...]]


def has(found: tuple[ResourceProblem, ...], line: int, field: str, message: str) -> bool:
    return any(
        problem.line == line and problem.field == field and message in problem.message and "\n" not in str(problem)
        for problem in found
    )


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), EXPERIMENTS)
def test_an_invalid_experiment_is_refused(
    problems: Problems, experiment: str, old: str, new: str, line: int, field: str, message: str
) -> None:
    """The problem names the field and the line, and says what is wanted."""
    assert experiment.count(old) == 1
    found = problems(experiment.replace(old, new))
    assert has(found, line, field, message), "\n".join(map(str, found))


@pytest.mark.parametrize(("old", "new", "line", "field", "message"), POLICIES)
def test_an_invalid_policy_is_refused(
    problems: Problems, policy: str, old: str, new: str, line: int, field: str, message: str
) -> None:
    """The problem names the field and the line, and says what is wanted."""
    assert policy.count(old) == 1
    found = problems(policy.replace(old, new))
    assert has(found, line, field, message), "\n".join(map(str, found))


def test_a_single_mistake_is_a_single_problem(problems: Problems, experiment: str) -> None:
    """One wrong value does not set off the rules that read it."""
    for old, new in [("control: true", "control: yes"), ("weight: 20,", "weight: x,"), ("variant: warm", "variant: 5")]:
        assert len(problems(experiment.replace(old, new))) == 1


def test_a_file_with_five_errors_reports_all_five(problems: Problems, experiment: str, policy: str) -> None:
    """YAML, schema and rule errors of all documents of a file come at once, in the order of the lines."""
    text = (
        experiment.replace('runId: "7"', "runId: 7")
        .replace("control: true", "control: false")
        .replace("holdback: 4", "holdback: 4\n    slack: 0.1")
        + "---\n[broken\n---\n"
        + policy.replace("min: 3\n", "min: 3\n    min: 4\n")
    )
    assert [(problem.line, problem.field) for problem in problems(text)] == [
        (8, "spec.runId"),
        (13, "spec.variants"),
        (24, "spec.ramp.slack"),
        (39, ""),
        (66, "spec.gates[0].min"),
    ]


def test_a_problem_prints_as_file_line_field_and_message(loaded: Callable[[str], Resources], experiment: str) -> None:
    """One line for each problem, so that editors can jump to it."""
    with pytest.raises(ResourceErrors) as raised:
        loaded(experiment.replace('runId: "7"', "runId: 7").replace("holdback: 4", "holdback: 60"))
    first, second = str(raised.value).splitlines()
    assert first.endswith("resources.yaml:8: spec.runId: must be a string, and 7 is a number: quote it")
    assert second.endswith("resources.yaml:23: spec.ramp.holdback: must be at most 50, not 60")


def test_a_field_with_an_odd_name_is_named_so_that_it_can_be_found() -> None:
    """Keys that are no plain words stand in brackets, in one line and cut."""
    assert field_name(("spec", "variants", 1, "a b", "c.d")) == 'spec.variants[1]["a b"]["c.d"]'
    assert field_name(("a\nb", "x" * 10)) == r'["a\nb"].xxxxxxxxxx'
    assert all(len(field_name((letter * 100,))) < 70 for letter in "éx")
    assert field_name(("a\ud800\x85",)) == '["a??"]'
