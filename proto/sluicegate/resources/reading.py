"""One file as checked resources: each with its defaults, and with all that is wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sluicegate.resources.crd import definitions
from sluicegate.resources.document import Document, Flaw, read_documents
from sluicegate.resources.errors import FieldPath, ResourceProblem, excerpt, field_name
from sluicegate.resources.policy import faulty_patterns
from sluicegate.resources.schema import check

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedResource:
    """A document that is one of our kinds; `resource` has its defaults, and may be relied on if there is no problem."""

    file: str
    kind: str
    resource: Mapping[str, Any]
    document: Document
    problems: tuple[ResourceProblem, ...]

    @property
    def source(self) -> str:
        return f"{self.file}:{self.document.line_of(())}"

    def problem(self, path: FieldPath, message: str) -> ResourceProblem:
        """The problem `message` with the value at `path`."""
        line = self.document.line_of(path)
        return ResourceProblem(file=self.file, line=line, field=field_name(path), message=message)

    def text(self, *path: str) -> str | None:
        """The string at `path`, None if there is none; for resources with problems too."""
        value: Any = self.resource
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value if isinstance(value, str) else None


def read_file(path: Path) -> Iterator[CheckedResource | ResourceProblem]:
    """The resources of a file, and a problem in place of whatever is not a resource of ours."""
    file = str(path)
    try:
        text = _text(path)
    except _Unreadable as error:
        yield ResourceProblem(file=file, line=error.line, field="", message=str(error))
        return
    empty = True
    for document in read_documents(text):
        empty = False
        if isinstance(document, Flaw):
            yield _problem(file, document)
        else:
            yield from _read_document(file, document)
    if empty:
        yield ResourceProblem(file=file, line=1, field="", message=f"the file is empty: it may hold {_known_kinds()}")


class _Unreadable(Exception):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _Unreadable(1, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise _Unreadable(1, f"the file is larger than {MAX_BYTES} bytes: split it")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(line, "the file is not in UTF-8: save it in that encoding") from error


def _problem(file: str, flaw: Flaw) -> ResourceProblem:
    return ResourceProblem(file=file, line=flaw.line, field=field_name(flaw.path), message=flaw.message)


def _read_document(file: str, document: Document) -> Iterator[CheckedResource | ResourceProblem]:
    checked = CheckedResource(
        file=file,
        kind="",
        resource={},
        document=document,
        problems=tuple(_problem(file, flaw) for flaw in document.flaws),
    )
    value = document.value
    if not isinstance(value, dict):
        yield from checked.problems
        yield checked.problem((), "a resource must be a mapping with apiVersion, kind, metadata and spec")
        return
    definition = definitions().get(str(value.get("kind")))
    if definition is None:
        yield from checked.problems
        yield checked.problem(("kind",), _unknown_kind(value))
        return
    if value.get("apiVersion") != definition.api_version:
        yield checked.problem(("apiVersion",), f"must be {definition.api_version} for kind {definition.kind}")
    resource, faults = check(value, definition, {flaw.path for flaw in document.flaws})
    found = [(fault.path, fault.message) for fault in faults]
    if definition.kind == "EvaluationPolicy":
        found += faulty_patterns(resource)
    problems = (*checked.problems, *(checked.problem(path, message) for path, message in found))
    yield replace(checked, kind=definition.kind, resource=resource, problems=problems)


def _unknown_kind(value: Mapping[str, Any]) -> str:
    if "kind" not in value:
        return f"is required: one of {_known_kinds()}"
    kind, version = excerpt(value["kind"]), excerpt(value.get("apiVersion"))
    return f"kind {kind} of apiVersion {version} is not known here: a file may hold {_known_kinds()} only"


def _known_kinds() -> str:
    return " and ".join(f"{definition.kind} ({definition.api_version})" for definition in definitions().values())
