"""Fills in what a resource leaves out, by the algorithm of an API server."""

from typing import Any

from sluicegate.resources.crd import Schema


def completed(value: Any, schema: Schema) -> Any:
    """A copy of `value` with the defaults of `schema`; where types do not fit, it stays as it is.

    A null where none may be counts as absent. A whole number that was written with a point (50.0) becomes an integer
    where the schema wants one.
    """
    if isinstance(value, dict) and "properties" in schema:
        return _completed_object(value, schema["properties"])
    if isinstance(value, list) and "items" in schema:
        return [completed(item, schema["items"]) for item in value]
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _completed_object(value: dict[str, Any], properties: Schema) -> dict[str, Any]:
    present = {
        name: item
        for name, item in value.items()
        if item is not None or name not in properties or properties[name].get("nullable", False)
    }
    for name, schema in properties.items():
        if name not in present and "default" in schema:
            present[name] = schema["default"]
    return {name: completed(item, properties[name]) if name in properties else item for name, item in present.items()}
