"""The chart's README is what its values say, and versions are one version."""

import re
import tomllib
from pathlib import Path

import pytest
from chart_values import Undocumented, readme
from helm_chart import CHART

ROOT = Path(__file__).parents[2]


def test_the_table_of_values_is_current() -> None:
    """The table is made of values.yaml as it is now; else run `make chart`."""
    assert (CHART / "README.md").read_text(encoding="utf-8") == readme((CHART / "values.yaml").read_text("utf-8"))


def test_a_value_without_a_comment_is_found() -> None:
    """A value that nobody explained is named, at any depth; a comment that a blank line cuts off explains nothing."""
    assert "| `a.b` | `1` | One. |" in readme("# All.\n\na:\n  # One.\n  b: 1\n")
    with pytest.raises(Undocumented, match=r"a\.c"):
        readme("a:\n  # One.\n  b: 1\n  c: 2\n")
    with pytest.raises(Undocumented, match="a"):
        readme("# Of all.\n\na: 1\n")


def test_the_chart_has_the_version_of_the_project() -> None:
    """Chart, images and package are one version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    told = re.findall(r"^(?:version|appVersion): (.+)$", (CHART / "Chart.yaml").read_text("utf-8"), re.MULTILINE)
    assert told == [version, version]
