import re
import tomllib
from pathlib import Path

import pytest

PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==\S+")


@pytest.fixture(scope="module")
def lock(root: Path) -> list[str]:
    """The logical lines of the lock, without comments."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [" ".join(line.split()) for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def normal(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_line_is_a_pin_with_hashes(lock: list[str]) -> None:
    """Each line names one distribution, one version and at least one SHA-256, and nothing else: no option, no URL."""
    assert lock
    unpinned = [line for line in lock if not PIN.match(line)]
    assert not unpinned
    unhashed = [line for line in lock if not re.search(r" --hash=sha256:[0-9a-f]{64}(?: |$)", line)]
    assert not unhashed


def test_names_no_host(root: Path) -> None:
    """No URL and no option that points at an index: where packages come from is up to who installs them."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


def test_covers_what_pyproject_asks_for(root: Path, lock: list[str]) -> None:
    """Every direct dependency, of any extra and of the development group, is in the lock; else run `make lock`."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    asked = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
        *pyproject["dependency-groups"]["dev"],
    ]
    names = {normal(match["name"]) for need in asked if (match := re.match(r"(?P<name>[A-Za-z0-9._-]+)", need))}
    locked = {normal(match["name"]) for line in lock if (match := PIN.match(line))}
    assert names <= locked
