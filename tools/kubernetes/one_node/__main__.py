"""`PYTHONPATH=tools/kubernetes python -m one_node missing | up | run COMMAND… | down`.

`missing` prints the Debian packages that a node would need; none on a machine that cannot run one.
"""

import os
import sys

from one_node.images import Images, NotBuilt
from one_node.machine import cannot, packages
from one_node.namespaces import NotUp, down, enter, environment, up
from one_node.places import PAUSE, Places


def main(arguments: list[str]) -> int:
    places = Places.from_env(os.environ)
    match arguments:
        case ["missing"]:
            print("" if cannot(places) else " ".join(packages()))
            return 0
        case ["up"]:
            return _up(places)
        case ["run", _, *_]:
            os.execvpe("nsenter", enter(places, arguments[1:]), environment(places))
        case ["down"]:
            down(places)
            return 0
    print(f"usage: {__doc__}", file=sys.stderr)
    return 2


def _up(places: Places) -> int:
    if why := cannot(places):
        return _refuse(why)
    if lacking := packages():
        return _refuse(f"not installed: {' '.join(lacking)}; apt can, on Debian")
    images = Images(places)
    images.build_base()
    up(places)
    images.load([PAUSE])
    print(f"up; KUBECONFIG={places.kubeconfig} works in `run` alone")
    return 0


def _refuse(why: str) -> int:
    print(f"error: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (NotBuilt, NotUp) as error:
        sys.exit(_refuse(str(error)))
