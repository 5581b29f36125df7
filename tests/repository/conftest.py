import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """The files that belong to the repository, relative to its root: what git tracks, or would if it were added."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # A file that is tracked and deleted is still listed.
    paths = {Path(name) for name in listing.stdout.split("\0") if name}
    return sorted(path for path in paths if (ROOT / path).is_file())


@pytest.fixture(scope="session")
def written(tracked: list[Path]) -> list[Path]:
    """The Python files that people write, relative to the root: all but the generated stubs."""
    return [path for path in tracked if path.suffix == ".py" and "_pb2" not in path.name]
