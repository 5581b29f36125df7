"""A valid resource of each kind, whose lines the tests change one by one, and the ways to read them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from invalid_resources import EXPERIMENT, POLICY

from sluicegate.resources.errors import ResourceErrors, ResourceProblem
from sluicegate.resources.load import Resources, load


@pytest.fixture
def experiment() -> str:
    """The text of a valid Experiment with every field given."""
    return EXPERIMENT


@pytest.fixture
def policy() -> str:
    """The text of a valid EvaluationPolicy with every field given."""
    return POLICY


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str | bytes], Resources]:
    """Loads the text as one file."""

    def load_text(text: str | bytes) -> Resources:
        file = tmp_path / "resources.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load([file])

    return load_text


@pytest.fixture
def problems(loaded: Callable[[str | bytes], Resources]) -> Callable[[str | bytes], tuple[ResourceProblem, ...]]:
    """All problems of the text as one file, none if it is valid."""

    def problems_of(text: str | bytes) -> tuple[ResourceProblem, ...]:
        try:
            loaded(text)
        except ResourceErrors as errors:
            return errors.problems
        return ()

    return problems_of
