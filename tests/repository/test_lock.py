import re
import tomllib
from pathlib import Path

import pytest

PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==\S+")


LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-operator.lock", "requirements-sidecar.lock")


@pytest.fixture(scope="module")
def lock(root: Path) -> list[str]:
    """The logical lines of the lock of everything."""
    return logical_lines(root / "requirements.lock")


def logical_lines(path: Path) -> list[str]:
    """Without comments, continued lines joined."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [" ".join(line.split()) for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def normal(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_is_a_pin_with_hashes(root: Path, name: str) -> None:
    """Each line names one distribution, one version and at least one SHA-256, and nothing else: no option, no URL."""
    lines = logical_lines(root / name)
    assert lines
    unpinned = [line for line in lines if not PIN.match(line)]
    assert not unpinned
    unhashed = [line for line in lines if not re.search(r" --hash=sha256:[0-9a-f]{64}(?: |$)", line)]
    assert not unhashed


@pytest.mark.parametrize("name", LOCKS)
def test_names_no_host(root: Path, name: str) -> None:
    """No URL and no option that points at an index: where packages come from is up to who installs them."""
    text = (root / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


@pytest.mark.parametrize("name", LOCKS[1:])
def test_the_locks_of_images_agree_with_the_lock(root: Path, lock: list[str], name: str) -> None:
    """What an image gets is pinned, to the hash, as it is where the tests run; else run `make lock`."""
    assert set(logical_lines(root / name)) <= set(lock)


def test_covers_what_pyproject_asks_for(root: Path, lock: list[str]) -> None:
    """Every direct dependency, of any extra and of the development group, is in the lock; else run `make lock`."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    asked = [
        *project["dependencies"],
        *(need for extra in project["optional-dependencies"].values() for need in extra),
        *(need for group in pyproject["dependency-groups"].values() for need in group if isinstance(need, str)),
    ]
    names = {normal(match["name"]) for need in asked if (match := re.match(r"(?P<name>[A-Za-z0-9._-]+)", need))}
    locked = {normal(match["name"]) for line in lock if (match := PIN.match(line))}
    assert names <= locked
