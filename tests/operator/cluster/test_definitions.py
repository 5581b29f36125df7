"""The resource definitions on a real API server: what it accepts and refuses, and that files get the same verdict."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_server import GROUP, Answer, ApiServer
from invalid_resources import EXPERIMENT, EXPERIMENTS, POLICIES, POLICY

from sluicegate.resources.crd import definitions
from sluicegate.resources.errors import ResourceErrors
from sluicegate.resources.load import load

KINDS = {"Experiment": "experiments", "EvaluationPolicy": "evaluationpolicies"}
EXAMPLES = Path(__file__).parents[3] / "examples"
ROWS = [
    pytest.param(kind, base.replace(old, new), field, id=f"{kind} {field} {number}")
    for kind, base, table in (("Experiment", EXPERIMENT, EXPERIMENTS), ("EvaluationPolicy", POLICY, POLICIES))
    for number, (old, new, _, field, _) in enumerate(table)
]
REFERENCE = {"field": "systemPrompt", "configMapKeyRef": {"name": "prompts", "key": "warm.txt"}}
STRICTER_IN_FILES = ("paused: yes", "{n: 1}", "1_000", "060", "primary: warmth")
"""YAML that readers disagree on, and what only the policy beside an experiment can tell: the operator does that."""
NOT_NAMED = ("", "apiVersion", "kind", "spec.ramp.steps[1].weight", "spec.ramp.holdback")
"""Where the API server may see no object at all, or the misspelt name of a field alone."""


@pytest.fixture(scope="module")
def dental(cluster: ApiServer) -> Iterator[str]:
    """The namespace that the resources name."""
    yield cluster.create_namespace("dental")
    cluster.must("DELETE", "/api/v1/namespaces/dental")


def created(cluster: ApiServer, kind: str, text: str) -> Answer:
    """What the API server says to the resource, which it does not keep."""
    path = f"{GROUP}/namespaces/dental/{KINDS[kind]}"
    return cluster.request("POST", path, text, "application/yaml", dryRun="All", fieldValidation="Strict")


def rules(schema: Any) -> Iterator[str]:
    """The messages of all rules."""
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        for child in schema.values():
            yield from rules(child)


MESSAGES = {message for definition in definitions().values() for message in rules(definition.schema)}


def test_there_are_enough_of_them() -> None:
    """At least sixty invalid resources are refused by the API server."""
    refused = [row for row in ROWS if not any(text in str(row.values[1]) for text in STRICTER_IN_FILES)]
    assert len(refused) >= 60


@pytest.mark.parametrize(("kind", "text", "field"), ROWS)
def test_files_and_the_api_server_refuse_the_same(
    cluster: ApiServer, dental: str, tmp_path: Path, kind: str, text: str, field: str
) -> None:
    """Each is refused with the name of the field; where a rule speaks, both say the same words."""
    file = tmp_path / "resource.yaml"
    file.write_text(text)
    with pytest.raises(ResourceErrors) as refused:
        load([file])
    answer = created(cluster, kind, text)
    if any(part in text for part in STRICTER_IN_FILES):
        assert answer.status == 201, answer.message
        return
    assert answer.status in (400, 422), answer.body
    if field not in NOT_NAMED and not field.startswith("metadata"):
        assert field in answer.message or field.rpartition(".")[0] in answer.message
    told = {problem.message for problem in refused.value.problems} & MESSAGES
    assert all(message in answer.message for message in told)


@pytest.mark.parametrize(("kind", "text"), [("Experiment", EXPERIMENT), ("EvaluationPolicy", POLICY)])
def test_a_resource_with_every_field_is_valid(cluster: ApiServer, dental: str, kind: str, text: str) -> None:
    """The ones that the invalid ones are made of."""
    assert created(cluster, kind, text).status == 201


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_are_valid(cluster: ApiServer, namespace: str, file: Path) -> None:
    """As `kubectl apply` sends them."""
    cluster.kubectl("apply", "--namespace", namespace, "--dry-run=server", "-f", str(file))


def stored(cluster: ApiServer, namespace: str, text: str) -> Any:
    return cluster.must(
        "POST", f"{GROUP}/namespaces/{namespace}/experiments", text.replace("dental", namespace), "application/yaml"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: spec["variants"][1].update(name="hot"), "variants are frozen"),
        (lambda spec: spec["variants"][1]["config"].update(temperature=1), "variants are frozen"),
        (lambda spec: spec["variants"][1].update(configFrom=[REFERENCE]), "variants are frozen"),
        (lambda spec: spec["assignment"].update(salt="other"), "the assignment is frozen"),
        (lambda spec: spec.update(agent="other"), "the agent is frozen"),
    ],
)
def test_what_is_compared_is_frozen_during_a_run(
    cluster: ApiServer, namespace: str, change: Callable[[Any], None], message: str
) -> None:
    """Changed within a run it is refused, and with a new run it is not."""
    resource = stored(cluster, namespace, EXPERIMENT.replace("  - variant: warm\n    callerHash: 0a1b\n", ""))
    path = f"{GROUP}/namespaces/{namespace}/experiments/{resource['metadata']['name']}"
    change(resource["spec"])
    answer = cluster.request("PUT", path, resource)
    assert answer.status == 422
    assert message in answer.message
    resource["spec"]["runId"] = "8"
    answer = cluster.request("PUT", path, resource)
    assert answer.status == 200, answer.message


@pytest.mark.parametrize(
    ("reference", "field"),
    [
        ({"field": "p", "configMapKeyRef": {"name": "Prompts", "key": "a"}}, "configFrom[0].configMapKeyRef.name"),
        ({"field": "p", "configMapKeyRef": {"name": "prompts", "key": "a b"}}, "configFrom[0].configMapKeyRef.key"),
        ({"field": "p", "secretKeyRef": {"name": "prompts", "key": "a"}}, "configFrom[0].secretKeyRef"),
        ({"configMapKeyRef": {"name": "prompts", "key": "a"}}, "configFrom[0].field"),
    ],
)
def test_texts_come_from_config_maps_only(
    cluster: ApiServer, dental: str, reference: dict[str, Any], field: str
) -> None:
    """A reference to anything else, or to half of a ConfigMap's entry, is refused."""
    text = EXPERIMENT.replace(
        "config: {model: gpt-4o, temperature: 0.4}", f"config: {{}}\n    configFrom: [{json.dumps(reference)}]"
    )
    answer = created(cluster, "Experiment", text)
    assert answer.status in (400, 422)
    assert field in answer.message


def test_a_reference_is_told_of_in_files(tmp_path: Path) -> None:
    """Files have no ConfigMaps: the problem says so, and what to do."""
    file = tmp_path / "resource.yaml"
    file.write_text(
        EXPERIMENT.replace(
            "config: {model: gpt-4o, temperature: 0.4}",
            "configFrom: [{field: systemPrompt, configMapKeyRef: {name: prompts, key: warm.txt}}]",
        )
    )
    with pytest.raises(ResourceErrors) as refused:
        load([file])
    (problem,) = refused.value.problems
    assert problem.field == "spec.variants[1].configFrom"
    assert "write the texts into config" in problem.message


def test_a_steps_approval_is_read(tmp_path: Path) -> None:
    """Manual steps wait for a person; what people ask for by annotation is read with the resource."""
    file = tmp_path / "resource.yaml"
    text = EXPERIMENT.replace("minSessions: 60", "minSessions: 60, approval: Manual")
    file.write_text(text.replace("  namespace: dental\n", '  annotations: {sluicegate.dev/promote: "7/2", a: b}\n'))
    (experiment,) = load([file]).experiments
    assert [step.manual for step in experiment.steps] == [False, True]
    assert experiment.asked == {"promote": "7/2"}
