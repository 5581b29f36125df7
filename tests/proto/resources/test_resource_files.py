"""Files and folders are read together, and must fit together."""

from pathlib import Path

import pytest

from sluicegate.resources.errors import ResourceErrors
from sluicegate.resources.load import load


def errors(*paths: Path) -> list[str]:
    with pytest.raises(ResourceErrors) as raised:
        load(paths)
    return [
        f"{Path(problem.file).name}:{problem.line}: {problem.field}: {problem.message}"
        for problem in raised.value.problems
    ]


def test_a_folder_stands_for_its_yaml_files(tmp_path: Path, experiment: str, policy: str) -> None:
    """*.yaml and *.yml, by name; nothing else, and nothing in folders below."""
    (tmp_path / "b.yml").write_text(experiment)
    (tmp_path / "a.yaml").write_text(experiment.replace("warmer-greeting", "other") + "---\n" + policy)
    (tmp_path / "notes.txt").write_text("not: [yaml")
    (tmp_path / "below.yaml").mkdir()
    (tmp_path / "below.yaml" / "c.yaml").write_text("not: [yaml")
    resources = load([tmp_path])
    assert [found.name for found in resources.experiments] == ["other", "warmer-greeting"]
    assert [found.source for found in resources.policies] == [f"{tmp_path}/a.yaml:37"]


def test_every_error_of_every_file_is_reported_at_once(tmp_path: Path, experiment: str, policy: str) -> None:
    """In the order in which the files were given, and by line within one."""
    first, second = tmp_path / "z.yaml", tmp_path / "a.yaml"
    first.write_text(experiment.replace("holdback: 4", "holdback: 99").replace("paused: true", "paused: no"))
    second.write_text(policy.replace("minutes: 30", "minutes: 0"))
    found = errors(first, tmp_path / "missing.yaml", second)
    assert [line.split(": ")[:2] for line in found] == [
        ["z.yaml:9", "spec.paused"],
        ["z.yaml:23", "spec.ramp.holdback"],
        ["missing.yaml:1", ""],
        ["a.yaml:22", "spec.window.minutes"],
    ]
    assert "No such file" in found[2]


def test_a_folder_without_yaml_files_is_an_error(tmp_path: Path) -> None:
    """It is most likely the wrong folder."""
    assert "the folder has no *.yaml or *.yml file" in errors(tmp_path)[0]


def test_a_file_given_twice_is_read_once(tmp_path: Path, experiment: str) -> None:
    """By itself and through its folder."""
    (tmp_path / "a.yaml").write_text(experiment)
    assert len(load([tmp_path / "a.yaml", tmp_path]).experiments) == 1


def test_two_resources_of_one_name_are_an_error_that_names_both(tmp_path: Path, experiment: str) -> None:
    """Of the same kind, in the same namespace; elsewhere the name is free."""
    (tmp_path / "a.yaml").write_text(experiment + "---\n" + experiment.replace("namespace: dental", "namespace: other"))
    (tmp_path / "b.yaml").write_text(experiment)
    (problem,) = errors(tmp_path)
    assert problem == (
        f"b.yaml:4: metadata.name: Experiment warmer-greeting is there already, at {tmp_path}/a.yaml:1: rename one"
    )


def test_resources_without_a_name_are_not_taken_for_one(tmp_path: Path, experiment: str) -> None:
    """What is missing is reported, and nothing else."""
    nameless = experiment.replace("  name: warmer-greeting\n", "")
    (tmp_path / "a.yaml").write_text(nameless + "---\n" + nameless)
    assert errors(tmp_path) == ["a.yaml:3: metadata.name: is required", "a.yaml:38: metadata.name: is required"]


def test_two_policies_for_one_agent_are_an_error_that_names_both(tmp_path: Path, policy: str) -> None:
    """An agent is one within its namespace."""
    (tmp_path / "a.yaml").write_text(policy + "---\n" + policy.replace("namespace: dental", "namespace: other"))
    (tmp_path / "b.yaml").write_text(policy.replace("name: strict", "name: lax"))
    (problem,) = errors(tmp_path)
    assert problem.startswith("b.yaml:5: spec.agent: agent receptionist has a policy already")
    assert "a.yaml:1" in problem


def test_the_primary_metric_must_be_one_of_the_policy(tmp_path: Path, experiment: str, policy: str) -> None:
    """Of the agent's own policy where there is one, else of the default policy."""
    (tmp_path / "a.yaml").write_text(experiment.replace("primary: tone", "primary: empathy"))
    assert "must be a metric of the default policy, and no other is given: task_completion, " in errors(tmp_path)[0]
    (tmp_path / "b.yaml").write_text(policy.replace("agent: receptionist", "agent: other"))
    assert "must be a metric of the default policy" in errors(tmp_path)[0]
    (tmp_path / "b.yaml").write_text(policy)
    assert load([tmp_path]).experiments[0].primary == "empathy"
    (tmp_path / "a.yaml").write_text(experiment.replace("primary: tone", "primary: warmth"))
    assert "a.yaml:28: spec.analysis.primary: must be a metric of the agent's policy" in errors(tmp_path)[0]


def test_a_broken_policy_is_not_held_against_the_experiment(tmp_path: Path, experiment: str, policy: str) -> None:
    """Whether it yields the metric cannot be known before it is repaired."""
    (tmp_path / "a.yaml").write_text(experiment.replace("primary: tone", "primary: empathy"))
    for broken in (policy.replace("name: empathy", "name: 5"), policy + "\n[", policy.replace("kind: Eval", "kind: E")):
        (tmp_path / "b.yaml").write_text(broken)
        assert not [line for line in errors(tmp_path) if "primary" in line]


def test_resources_of_others_are_refused_with_the_known_kinds(tmp_path: Path, experiment: str) -> None:
    """A ConfigMap that would be ignored in silence might have been meant to matter."""
    config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: prompts}\ndata: {}\n"
    (tmp_path / "a.yaml").write_text(experiment + "---\n" + config_map)
    assert errors(tmp_path) == [
        'a.yaml:38: kind: kind "ConfigMap" of apiVersion "v1" is not known here: a file may hold '
        "Experiment (sluicegate.dev/v1alpha1) and EvaluationPolicy (sluicegate.dev/v1alpha1) only"
    ]
