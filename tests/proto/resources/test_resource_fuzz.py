"""Whatever a file holds, it is loaded or refused with ResourceErrors; nothing else is ever raised."""

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.resources.document import Document, read_documents
from sluicegate.resources.errors import ResourceErrors
from sluicegate.resources.load import load

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["name", "control", "weight", "no", "1", "\n"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def refused_or_loaded(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with contextlib.suppress(ResourceErrors):
        load([file])


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for step, item in items for below in paths(item, (*path, step)))]


def changed(resource: Any, path: tuple[str | int, ...], by: Any) -> Any:
    if not path:
        return by
    resource = copy.copy(resource)
    resource[path[0]] = changed(resource[path[0]], path[1:], by)
    return resource


@pytest.fixture
def valid(experiment: str, policy: str) -> list[Any]:
    """One resource of each kind, as plain values."""
    return [
        document.value for document in read_documents(experiment + "---\n" + policy) if isinstance(document, Document)
    ]


@FUZZ
@given(document=JSON)
def test_any_document(tmp_path: Path, document: Any) -> None:
    """JSON is YAML, and so is what Python writes for infinity, or at least it is a text."""
    refused_or_loaded(tmp_path / "any.yaml", json.dumps(document).encode())


@FUZZ
@given(data=st.data())
def test_any_value_at_any_place_of_a_resource(tmp_path: Path, valid: list[Any], data: st.DataObject) -> None:
    """Up to three values are replaced, each by anything."""
    resource = data.draw(st.sampled_from(valid))
    for _ in range(data.draw(st.integers(1, 3))):
        resource = changed(resource, data.draw(st.sampled_from(paths(resource))), data.draw(JSON))
    refused_or_loaded(tmp_path / "changed.yaml", json.dumps(resource, ensure_ascii=False).encode())


@FUZZ
@given(content=st.binary(max_size=60))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    """Most are not even text."""
    refused_or_loaded(tmp_path / "bytes.yaml", content)


@FUZZ
@given(data=st.data())
def test_any_text_in_a_resource(tmp_path: Path, experiment: str, data: st.DataObject) -> None:
    """Characters that mean something to YAML are put anywhere."""
    pieces = st.sampled_from(
        [*"-:?,[]{}#&*!|>'\"%@`~\\ \t\r\n\x85\u2028\ufeff\0", "---", "...", "<<", "&a ", "*a", "\n  ", "!!int "]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(experiment)))
        experiment = experiment[:at] + data.draw(pieces) + experiment[at:]
    refused_or_loaded(tmp_path / "text.yaml", experiment.encode())
