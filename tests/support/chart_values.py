"""The chart's table of values, made of values.yaml: each value with its default, and the comment above it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML

OPENING = """# The chart's values

Made from the comments in `values.yaml` by `make chart`. How to install it is in the README of the project; a value that
is unknown or wrong is refused by `values.schema.json`, by name.

| value | default | what it sets |
| --- | --- | --- |
"""


class Undocumented(Exception):
    """A value has no comment above it."""


@dataclass(slots=True)
class _Reader:
    """Where in the file it is: the keys above the line, and the comment that waits for the next key."""

    keys: list[str] = field(default_factory=list)
    comment: list[str] = field(default_factory=list)

    def read(self, line: str) -> Iterator[tuple[str, str]]:
        """The path of the value and its comment, if the line begins one that is documented."""
        text = line.strip()
        if not text:
            self.comment.clear()
        elif text.startswith("#"):
            self.comment.append(text.removeprefix("#").strip())
        elif ":" in text:
            depth = (len(line) - len(line.lstrip())) // 2
            self.keys = [*self.keys[:depth], text.partition(":")[0]]
            if self.comment:
                yield ".".join(self.keys), " ".join(self.comment)
            self.comment.clear()


def readme(text: str) -> str:
    """The whole file, of the text of values.yaml. Undocumented names a value that nobody explained."""
    values = YAML(typ="safe", pure=True).load(text)
    reader = _Reader()
    comments = dict(found for line in text.splitlines() for found in reader.read(line))
    rows = list(_rows(values, "", comments))
    return OPENING + "".join(f"| `{path}` | {_shown(value)} | {comments[path]} |\n" for path, value in rows)


def _rows(values: dict[str, Any], above: str, comments: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Each value of its own; a mapping that is explained as a whole, such as `resources`, is one."""
    for key, value in values.items():
        path = f"{above}{key}"
        is_group = isinstance(value, dict) and value and not (path in comments and _is_leaf(path, comments))
        if is_group:
            yield from _rows(value, f"{path}.", comments)
        elif path not in comments:
            raise Undocumented(f"values.yaml: {path} has no comment above it")
        else:
            yield path, value


def _is_leaf(path: str, comments: dict[str, str]) -> bool:
    return not any(other.startswith(f"{path}.") for other in comments)


def _shown(value: Any) -> str:
    return "" if value == "" else f"`{json.dumps(value) if not isinstance(value, str) else value}`"
