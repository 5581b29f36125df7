"""`python -m sluicegate_sidecar`: the sidecar. `python -m sluicegate_sidecar judge`: a judge worker by itself."""

import argparse
import asyncio
import logging
import os
import sys

from sluicegate_sidecar.config import Config
from sluicegate_sidecar.errors import ConfigError


def main(arguments: list[str]) -> int:
    """Runs a process of the data plane to its end; the exit code is 2 if it could not start."""
    parser = argparse.ArgumentParser(prog="sluicegate_sidecar")
    parser.add_argument("part", nargs="?", choices=("sidecar", "judge"), default="sidecar")
    parser.add_argument("--with-parent", action="store_true", help="end with the process that started this one")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # A line for every call of the judge.
    # The judge is started by a fork, for which gRPC would halt its threads. Only a fork without an exec needs that.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        config = Config.from_env(os.environ)
        from sluicegate_sidecar import app

        if chosen.part == "judge":
            asyncio.run(app.judge(config, with_parent=chosen.with_parent))
        else:
            # Each call passes the loop several times, and this one takes a quarter off what that costs.
            import uvloop

            uvloop.run(app.serve(config, with_parent=chosen.with_parent))
    except (ConfigError, OSError) as error:
        print(f"sluicegate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
