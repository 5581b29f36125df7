"""What Kubernetes checks beyond OpenAPI: the keys of lists, and the rules in CEL."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from sluicegate.resources.crd import Schema
from sluicegate.resources.errors import FieldPath, excerpt

if TYPE_CHECKING:
    import cel

_READS = re.compile(r"\bself\b(?:\.(\w+)\b(?!\())?")
"""`self.name` reads a field; `self` otherwise, as in `self.all(...)` or `size(self)`, all of the value."""
_TRANSITION = re.compile(r"\boldSelf\b")


def broken_rules(
    value: Any, schema: Schema, doubtful: Iterable[FieldPath], path: FieldPath = ()
) -> Iterator[tuple[FieldPath, str]]:
    """Path and message of every rule that `value` breaks.

    A rule that reads something `doubtful` is left out: it could only fail, or repeat what is known. So is one about the
    change from an older value, which files do not have.
    """
    yield from _repeated_keys(value, schema, path)
    for rule in schema.get("x-kubernetes-validations", ()):
        expression = rule["rule"]
        if _TRANSITION.search(expression) or _in_doubt(expression, path, doubtful):
            continue
        if not _program(expression).execute({"self": value}):
            yield (*path, *rule.get("fieldPath", "").split(".")[1:]), rule["message"]
    for step, item, its_schema in _children(value, schema):
        yield from broken_rules(item, its_schema, doubtful, (*path, step))


def _children(value: Any, schema: Schema) -> Iterator[tuple[str | int, Any, Schema]]:
    if isinstance(value, dict):
        for name, its_schema in schema.get("properties", {}).items():
            if name in value:
                yield name, value[name], its_schema
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield index, item, schema["items"]


def _repeated_keys(value: Any, schema: Schema, path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(value, list):
        return
    (key,) = schema["x-kubernetes-list-map-keys"]
    first: dict[str, int] = {}
    for index, item in enumerate(value):
        name = item.get(key) if isinstance(item, dict) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            yield (*path, index, key), f"{excerpt(name)} is there already, at index {first[name]}: remove one"


def _in_doubt(expression: str, path: FieldPath, doubtful: Iterable[FieldPath]) -> bool:
    """Whether the rule at `path` reads what is doubtful: fields of `self`, or all of it."""
    reads = [(*path, name) if name else path for name in _READS.findall(expression)]
    return any(doubt[: len(read)] == read or read[: len(doubt)] == doubt for read in reads for doubt in doubtful)


@cache
def _program(expression: str) -> "cel.Program":
    # Here, because only whoever has resources to check should pay for it.
    import cel

    return cel.compile(expression)
