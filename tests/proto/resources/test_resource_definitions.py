"""The CustomResourceDefinitions stay within what both an API server and this package can check."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cel
import pytest

from sluicegate.policy import BUILT_IN_RUBRICS, MAX_RUBRICS, OVERALL
from sluicegate.resources import crd
from sluicegate.resources.crd import definitions
from sluicegate.resources.messages import KEYWORDS, PATTERNS
from sluicegate.resources.rules import broken_rules

KUBERNETES = {"x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"}
OTHERS = {"required", "exclusiveMinimum", "properties", "items", "nullable", "default", "description"}
FREE = "x-kubernetes-preserve-unknown-fields"


def schemas(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")


SPECS = [
    pytest.param(schema, id=kind + path)
    for kind, definition in definitions().items()
    for path, schema in schemas(definition.schema["properties"]["spec"], ".spec")
]
RULES = [
    pytest.param(rule, id=rule["message"])
    for definition in definitions().values()
    for _, schema in schemas(definition.schema)
    for rule in schema.get("x-kubernetes-validations", ())
]


@pytest.mark.parametrize("schema", SPECS)
def test_every_value_is_bounded(schema: Mapping[str, Any]) -> None:
    """An API server refuses rules over lists and strings without a bound: they might cost too much."""
    bounds = {
        "string": {"maxLength", "enum"},
        "array": {"maxItems"},
        "object": {"properties", "maxProperties"},
        "number": {"maximum"},
        "integer": {"maximum"},
        "boolean": {"type"},
    }
    assert bounds[schema["type"]] & set(schema)


@pytest.mark.parametrize("schema", SPECS)
def test_every_keyword_is_one_that_is_checked(schema: Mapping[str, Any]) -> None:
    """A keyword that only the API server knew would make verdicts differ."""
    assert set(schema) <= KEYWORDS | KUBERNETES | OTHERS | {FREE}


@pytest.mark.parametrize("schema", SPECS)
def test_every_pattern_has_words(schema: Mapping[str, Any]) -> None:
    """Nobody should have to read a regular expression to name a variant."""
    assert "pattern" not in schema or schema["pattern"] in PATTERNS


@pytest.mark.parametrize("schema", SPECS)
def test_no_field_has_a_name_that_yaml_reads_as_a_boolean(schema: Mapping[str, Any]) -> None:
    """kubectl would drop it."""
    assert not {"n", "y", "no", "yes", "on", "off"} & set(schema.get("properties", {}))


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_compiles_and_has_a_message_of_one_line(rule: Mapping[str, str]) -> None:
    """With functions that the API server has too: macros, size, and has."""
    program = cel.compile(rule["rule"])
    words = {name for name in program.functions() if name[0].isalpha()}
    assert words <= {"size", "has"}
    assert rule["message"]
    assert "\n" not in rule["message"]


def test_the_built_in_metrics_of_the_rule_are_those_of_the_values() -> None:
    """A gate may be set on each of them, without any rubric of one's own, and there is room for the own ones."""
    spec = definitions()["EvaluationPolicy"].schema["properties"]["spec"]
    names = [OVERALL, *(rubric.name for rubric in BUILT_IN_RUBRICS)]
    assert not list(broken_rules({"gates": [{"metric": name} for name in names]}, spec, ()))
    assert spec["properties"]["rubrics"]["maxItems"] + len(BUILT_IN_RUBRICS) == MAX_RUBRICS


def test_the_longest_ramp_is_checked_to_its_end() -> None:
    """The rule lists the indexes that there can be, since CEL has no other way to compare neighbours."""
    steps = definitions()["Experiment"].schema["properties"]["spec"]["properties"]["ramp"]["properties"]["steps"]
    rising: list[dict[str, float]] = [{"weight": float(weight)} for weight in range(1, steps["maxItems"] + 1)]
    assert not list(broken_rules(rising, steps, ()))
    for index in range(1, len(rising)):
        assert list(broken_rules([*rising[:index], rising[index - 1], *rising[index + 1 :]], steps, ()))


def test_the_files_beside_the_package_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installed wheel, where there is no checkout."""
    for file in crd._IN_CHECKOUT.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text().replace("v1alpha1", "v9"))
    monkeypatch.setattr(crd, "_INSTALLED", tmp_path)
    assert {found.api_version for found in crd.definitions.__wrapped__().values()} == {"sluicegate.dev/v9"}
