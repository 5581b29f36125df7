"""Schema errors in words: what must be, what is there, and the way out."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from sluicegate.resources.crd import Schema
from sluicegate.resources.errors import excerpt

_LABEL = "must be lower-case letters, digits and hyphens, with a letter or digit at both ends"
_NAME = "must be lower-case letters, digits and underscores, with a letter at the start"
PATTERNS = {
    "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": _LABEL,
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$": f"{_LABEL}; dots may join such parts",
    "^[a-z][a-z0-9_]*$": _NAME,
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": "must be letters, digits, dots, underscores and hyphens, after a letter or digit",
    "^[-._A-Za-z0-9]+$": "must be letters, digits, dots, underscores and hyphens",
    "^[0-9a-f]+$": "must be lower-case hexadecimal digits",
    "^[1-9][0-9]*(m|h|d)$": "must be a whole number of minutes, hours or days, as in 90m, 12h or 7d",
    "^[1-9][0-9]*(s|m|h)$": "must be a whole number of seconds, minutes or hours, as in 30s, 15m or 2h",
}
"""What each pattern of the schema asks for."""

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean "x"?` where something known is near, else the list of what is known."""
    by_folded = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_folded, n=1)
    return f', did you mean "{by_folded[near[0]]}"?' if near else f" (known: {', '.join(sorted(by_folded.values()))})"


def in_words(keyword: str, limit: Any, instance: Any, schema: Schema) -> str:
    """The message for a value `instance` that breaks `keyword: limit` of its schema."""
    return _WORDS[keyword](limit, instance, schema)


def _type(limit: Any, instance: Any, schema: Schema) -> str:
    expected = [limit] if isinstance(limit, str) else limit
    wanted = f"must be {' or '.join(_TYPES[name] for name in expected)}"
    if expected[0] == "string" and isinstance(instance, bool | int | float):
        return f"{wanted}, and {excerpt(instance)} is {_kind(instance)}: quote it"
    if isinstance(instance, dict | list):
        return f"{wanted}, not {_kind(instance)}"
    return f"{wanted}, not {excerpt(instance)}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    return {int: "a number", float: "a number", dict: "a mapping", list: "a list"}[type(value)]


def _enum(limit: Any, instance: Any, schema: Schema) -> str:
    hint = suggestion(instance, limit) if isinstance(instance, str) else ""
    return f"must be one of {', '.join(limit)}, not {excerpt(instance)}" + (hint if "did you mean" in hint else "")


def _pattern(limit: Any, instance: Any, schema: Schema) -> str:
    return f"{PATTERNS.get(limit, f'must match {limit}')}, not {excerpt(instance)}"


def _minimum(limit: Any, instance: Any, schema: Schema) -> str:
    bound = "more than" if schema.get("exclusiveMinimum") else "at least"
    return f"must be {bound} {limit}, not {excerpt(instance)}"


def _maximum(limit: Any, instance: Any, schema: Schema) -> str:
    return f"must be at most {limit}, not {excerpt(instance)}"


def _min_length(limit: Any, instance: Any, schema: Schema) -> str:
    return f"must have at least {_count(limit, 'character')}"


def _max_length(limit: Any, instance: Any, schema: Schema) -> str:
    return f"must have at most {_count(limit, 'character')}, not {len(instance)}"


def _items(limit: Any, instance: Any, schema: Schema) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if least == most:
        return f"must have exactly {_count(least, 'item')}, not {len(instance)}"
    bound = "at least" if len(instance) < least else "at most"
    return f"must have {bound} {_count(limit, 'item')}, not {len(instance)}"


def _max_properties(limit: Any, instance: Any, schema: Schema) -> str:
    return f"must have at most {_count(limit, 'key')}, not {len(instance)}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


_WORDS: dict[str, Callable[[Any, Any, Schema], str]] = {
    "type": _type,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _minimum,
    "maximum": _maximum,
    "minLength": _min_length,
    "maxLength": _max_length,
    "minItems": _items,
    "maxItems": _items,
    "maxProperties": _max_properties,
}
KEYWORDS = frozenset(_WORDS)
"""The keywords of JSON Schema that have words, and so may be used in the schema."""
