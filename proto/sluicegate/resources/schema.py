"""A resource against its CustomResourceDefinition: defaults filled in, and everything that is wrong with it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from sluicegate.resources.crd import Definition, Schema, definitions
from sluicegate.resources.defaults import completed
from sluicegate.resources.errors import FieldPath
from sluicegate.resources.messages import KEYWORDS, in_words, suggestion
from sluicegate.resources.rules import broken_rules

_MISLEADING = frozenset({"type", "enum", "required", "maxLength", "maxItems", "maxProperties"})
"""Errors that keep CEL rules from being evaluated on the value: an API server's choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A value that breaks the schema, or a rule."""

    path: FieldPath
    message: str
    keyword: str


def check(
    value: Mapping[str, Any], definition: Definition, doubtful: Iterable[FieldPath]
) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """The resource with its defaults, and its faults; those of `doubtful` values are known and left out.

    `status` is not ours to judge and is dropped.
    """
    resource = completed({key: item for key, item in value.items() if key != "status"}, definition.schema)
    known = frozenset(doubtful)
    faults = {
        (fault.path, fault.message): fault
        for error in _validator(definition.kind).iter_errors(resource)
        for fault in _faults(error)
        if fault.path not in known
    }
    misleading = known | {fault.path for fault in faults.values() if fault.keyword in _MISLEADING}
    for path, message in broken_rules(resource, definition.schema, misleading):
        faults[path, message] = Fault(path=path, message=message, keyword="rule")
    return resource, tuple(faults.values())


def _faults(error: ValidationError) -> Iterator[Fault]:
    path: FieldPath = tuple(error.absolute_path)
    keyword = str(error.validator)
    limit: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    if keyword == "required":
        for name in limit:
            if name not in instance:
                yield Fault(path=(*path, name), message="is required", keyword=keyword)
    elif keyword == "additionalProperties":
        for name in instance:
            if name not in schema["properties"]:
                message = f"unknown field{suggestion(name, schema['properties'])}"
                yield Fault(path=(*path, name), message=message, keyword=keyword)
    else:
        yield Fault(path=path, message=in_words(keyword, limit, instance, schema), keyword=keyword)


def _pattern(validator: Validator, pattern: str, instance: Any, schema: Schema) -> Iterator[ValidationError]:
    # In Python `$` matches before a last newline too; in Kubernetes it does not.
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError("pattern")


@cache
def _validator(kind: str) -> Validator:
    # Draft 4 is the one that OpenAPI 3.0 was made from: exclusiveMinimum is a boolean in both.
    dialect: type[Validator] = extend(Draft4Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    return dialect(_translated(definitions()[kind].schema))


def _translated(schema: Schema) -> dict[str, Any]:
    """The JSON Schema that accepts what the structural schema accepts, and no unknown fields."""
    translated = {key: schema[key] for key in (*KEYWORDS, "required", "exclusiveMinimum") if key in schema}
    if schema.get("nullable"):
        translated["type"] = [schema["type"], "null"]
    if "items" in schema:
        translated["items"] = _translated(schema["items"])
    if "additionalProperties" in schema:
        translated["additionalProperties"] = _translated(schema["additionalProperties"])
    if "properties" in schema:
        translated["properties"] = {name: _translated(item) for name, item in schema["properties"].items()}
        translated["additionalProperties"] = False
    return translated
