"""What is wrong with resources, and where."""

import json
import re
from dataclasses import dataclass

FieldPath = tuple[str | int, ...]
"""The way to a value from the root of its resource: keys of mappings and indexes of lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceProblem:
    """One error: `file` as given, `line` from 1, `field` such as `spec.variants[1].name`, empty for the whole."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        return f"{where}{self.field}: {self.message}" if self.field else where + self.message


class ResourceErrors(Exception):
    """Everything that is wrong with the resources that were read, in the order of the files."""

    def __init__(self, problems: tuple[ResourceProblem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def field_name(path: FieldPath) -> str:
    """`path` as people write it: `spec.variants[1].config["a key"]`."""
    return "".join(map(_step, path)).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", step) else f"[{excerpt(step)}]"


def excerpt(value: object) -> str:
    """`value` as JSON in one line, cut so that it fits a message."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    # A lone surrogate cannot be printed; neither can a line separator within one line.
    text = re.sub("[\ud800-\udfff\x7f-\x9f\u2028\u2029]", "?", text)
    return text if len(text) <= 60 else text[:57] + "..."
