"""YAML text as documents: values with the line of every field, and what is wrong with them as YAML.

What makes the text unreadable from there on (syntax, a bomb of aliases) ends its document; what leaves only one value
in doubt (a duplicate key, an ambiguous scalar) is noted, and reading goes on.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from sluicegate.resources.errors import FieldPath, excerpt
from sluicegate.resources.scalar import DoubtfulScalar, plain_scalar

MAX_DOCUMENTS = 1000
MAX_VALUES = 100_000
"""Values in one document, aliases counted as often as they are used."""
MAX_DEPTH = 32
"""Values inside one another. A configuration travels as a protobuf Struct, and decoders follow one no deeper."""

_SEPARATOR = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Something wrong at a line (from 1), with the path of the value that it leaves in doubt."""

    line: int
    path: FieldPath
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: its value in terms of JSON, the line (from 1) of each field, and the flaws met on the way."""

    value: Any
    lines: Mapping[FieldPath, int]
    flaws: tuple[Flaw, ...]

    def line_of(self, path: FieldPath) -> int:
        """The line of `path` or, where it is missing, of the nearest value around it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read_documents(text: str) -> Iterator[Document | Flaw]:
    """The documents of `text` in order, and a Flaw in place of each that cannot be read; empty ones are left out."""
    # Split before parsing, as kubectl does, so that a syntax error in one document does not hide the next.
    chunks = _SEPARATOR.split(text)
    if len(chunks) > MAX_DOCUMENTS:
        yield Flaw(line=1, path=(), message=f"the file has over {MAX_DOCUMENTS} documents: split it")
        return
    lines_before = 0
    for position, chunk in enumerate(chunks):
        # Blanks stand in for the separator, so that columns and a value on its line stay right.
        yield from _read_chunk(chunk if position == 0 else "   " + chunk, lines_before)
        lines_before += chunk.count("\n")


def _read_chunk(chunk: str, lines_before: int) -> Iterator[Document | Flaw]:
    builder = _Builder(lines_before)
    try:
        for event in YAML(typ="safe", pure=True).parse(chunk):
            if isinstance(event, NodeEvent | CollectionEndEvent):
                builder.take(event)
            elif isinstance(event, DocumentEndEvent):
                yield builder.document()
                builder = _Builder(lines_before)
    except _Unreadable as error:
        yield from (*builder.flaws, error.flaw)
    except YAMLError as error:
        yield from builder.flaws
        yield _syntax_flaw(error, chunk, lines_before)
    except (ValueError, OverflowError):
        # The scanner hands "\UFFFFFFFF" to chr() unchecked.
        yield from builder.flaws
        yield Flaw(line=builder.line, path=(), message="not YAML: a character past the end of Unicode, below this line")


def _syntax_flaw(error: YAMLError, chunk: str, lines_before: int) -> Flaw:
    if isinstance(error, ReaderError):
        line = lines_before + chunk.count("\n", 0, error.position) + 1
        return Flaw(
            line=line, path=(), message="not YAML: a control character: remove it, or escape it in double quotes"
        )
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return Flaw(line=lines_before + 1, path=(), message=f"not YAML: {excerpt(str(error))}")
    line = lines_before + error.problem_mark.line + 1
    if re.match(r" *\t", chunk[error.problem_mark.index - error.problem_mark.column :]):
        return Flaw(line=line, path=(), message="not YAML: a tab where only spaces may stand: indent with spaces")
    context = ""
    if error.context is not None:
        begin = error.problem_mark if error.context_mark is None else error.context_mark
        context = f" {error.context}" + (f" that begins at line {lines_before + begin.line + 1}," if begin else ",")
    return Flaw(line=line, path=(), message=f"not YAML:{context} {error.problem}".replace("\n", " "))


class _Unreadable(Exception):
    """The document cannot be read on."""

    def __init__(self, line: int, path: FieldPath, message: str) -> None:
        super().__init__(message)
        self.flaw = Flaw(line=line, path=path, message=message)


@dataclass(slots=True)
class _Node:
    """A value that was read whole; `size` counts the values in it, `height` how deep they go."""

    value: Any
    size: int = 1
    height: int = 1


@dataclass(slots=True)
class _Collection(_Node):
    """A mapping or list that is being read; `key` is the key whose value comes next in a mapping, None before a key."""

    path: FieldPath = ()
    anchor: str | None = None
    key: str | None = None
    duplicate: bool = False

    def next_path(self) -> FieldPath:
        return (*self.path, len(self.value) if isinstance(self.value, list) else self.key or "")

    def put(self, node: _Node) -> None:
        self.size += node.size
        self.height = max(self.height, node.height + 1)
        if isinstance(self.value, list):
            self.value.append(node.value)
        elif not self.duplicate:
            self.value[self.key] = node.value
        self.key, self.duplicate = None, False


@dataclass(slots=True)
class _Builder:
    """Puts a document together from parser events, without recursion: deep nesting cannot exhaust the stack."""

    lines_before: int
    line: int = 1
    root: _Node = field(default_factory=lambda: _Node(None))
    open: list[_Collection] = field(default_factory=list)
    anchors: dict[str, _Node] = field(default_factory=dict)
    lines: dict[FieldPath, int] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def document(self) -> Document:
        return Document(value=self.root.value, lines=self.lines, flaws=tuple(self.flaws))

    def take(self, event: Any) -> None:
        self.line = self.lines_before + event.start_mark.line + 1
        if isinstance(event, CollectionEndEvent):
            self._close()
        elif self._awaits_key():
            self._take_key(event)
        elif isinstance(event, CollectionStartEvent):
            self._open(event)
        elif isinstance(event, AliasEvent):
            self._finish(self._aliased(event.anchor), None)
        elif isinstance(event, ScalarEvent):
            self._finish(_Node(self._scalar(event, self._path())), event.anchor)

    def _awaits_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, dict) and self.open[-1].key is None

    def _path(self) -> FieldPath:
        """The path of the value that is read now; notes its line, which for a field is that of its key."""
        path = self.open[-1].next_path() if self.open else ()
        self.lines.setdefault(path, self.line)
        return path

    def _take_key(self, event: NodeEvent) -> None:
        top = self.open[-1]
        if not isinstance(event, ScalarEvent):
            raise _Unreadable(self.line, top.path, "the key of a field must be a text")
        key = event.value
        path = (*top.path, key)
        if key == "<<" and event.style is None:
            raise _Unreadable(self.line, top.path, "merge keys (<<) are not supported: write the fields out")
        if not isinstance(self._scalar(event, path), str):
            self._flaw(path, f"the key {excerpt(key)} is not a text: quote it")
        if key in top.value:
            self._flaw(path, f"the key is there twice, first at line {self.lines[path]}: remove one")
            top.duplicate = True
        top.key = key
        self.lines.setdefault(path, self.line)

    def _open(self, event: CollectionStartEvent) -> None:
        path = self._path()
        self._refuse_tag(event, path)
        self._bound_depth(path, height=1)
        value: Any = {} if isinstance(event, MappingStartEvent) else []
        self.open.append(_Collection(value, path=path, anchor=event.anchor))

    def _close(self) -> None:
        collection = self.open.pop()
        self._finish(_Node(collection.value, collection.size, collection.height), collection.anchor)

    def _finish(self, node: _Node, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if self.open:
            self.open[-1].put(node)
            self._bound_size(self.open[-1].path)
        else:
            self.root = node

    def _aliased(self, anchor: str) -> _Node:
        path = self._path()
        if anchor not in self.anchors:
            raise _Unreadable(self.line, path, f"the alias *{anchor} stands for nothing that was read before it")
        node = self.anchors[anchor]
        self._bound_depth(path, node.height)
        return node

    def _bound_size(self, path: FieldPath) -> None:
        if sum(collection.size for collection in self.open) > MAX_VALUES:
            raise _Unreadable(self.line, path, f"the document holds over {MAX_VALUES} values: make it smaller")

    def _bound_depth(self, path: FieldPath, height: int) -> None:
        if len(self.open) + height > MAX_DEPTH:
            raise _Unreadable(self.line, path, f"values are nested over {MAX_DEPTH} deep: make it flatter")

    def _scalar(self, event: ScalarEvent, path: FieldPath) -> bool | int | float | str | None:
        self._refuse_tag(event, path)
        text: str = event.value
        if _SURROGATE.search(text):
            self._flaw(path, r"the text escapes half a character (\ud800 to \udfff): write the character itself")
            return ""
        if event.style is not None or event.tag is not None:
            return text
        try:
            return plain_scalar(text)
        except DoubtfulScalar as error:
            self._flaw(path, str(error))
            return text

    def _refuse_tag(self, event: Any, path: FieldPath) -> None:
        if event.tag is not None:
            self._flaw(path, f"tags ({excerpt(str(event.tag))[1:-1]}) are not supported: remove it, and quote a text")

    def _flaw(self, path: FieldPath, message: str) -> None:
        self.flaws.append(Flaw(line=self.line, path=path, message=message))
