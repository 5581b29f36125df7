import ast
import re
from pathlib import Path

import pytest

LONGEST_FUNCTION = 70


@pytest.mark.parametrize("folder", ["operator", "proto", "sidecar", "tests"])
def test_plain_folders_are_no_packages(root: Path, folder: str) -> None:
    """The folders that only hold packages are none themselves: `operator` would shadow the standard library."""
    assert (root / folder).is_dir()
    assert not (root / folder / "__init__.py").exists()


def test_every_package_opens_with_its_charter(root: Path, written: list[Path]) -> None:
    """Each package's docstring says in at least one whole sentence what it is for."""
    packages = [path for path in written if path.name == "__init__.py"]
    assert packages
    silent = []
    for path in packages:
        charter = ast.get_docstring(ast.parse((root / path).read_text(encoding="utf-8"))) or ""
        if not re.search(r"\w+(?:\W+\w+){3,}.*[.!?](?:\s|$)", charter, re.DOTALL):
            silent.append(str(path))
    assert not silent


def test_functions_fit_a_screen(root: Path, written: list[Path]) -> None:
    """No function, its docstring included, is longer than 70 lines."""
    long = []
    for path in written:
        for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    long.append(f"{path}:{node.lineno} {node.name}: {length} lines")
    assert not long
