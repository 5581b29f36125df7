"""What injection adds to the creation of a pod, and how long an injector takes from exec to the first injected pod.

python bench/injection.py    (with tests/support on PYTHONPATH, as `make bench` does)
"""

import asyncio
import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from api_server import ADMIN_TOKEN
from injectors import Installation, is_injected, pod, routed_api_server

from figures import Figure, milliseconds, percentile, report
from footprint import import_seconds
from parts import rss

PODS = 1_000
WARM_UP = 50
CALLERS = 8
STARTS = 5
LIBRARIES = "import asyncio, ssl, aiohttp, cryptography.x509, msgspec, ruamel.yaml"


class Caller:
    """Creates pods over one connection, as a controller of Kubernetes does. Dry runs: nothing is stored."""

    def __init__(self, installed: Installation) -> None:
        trust = ssl.create_default_context(cafile=str(installed.api.ca_file))
        self._connection = http.client.HTTPSConnection("127.0.0.1", installed.api.port, timeout=30, context=trust)
        self._path = f"/api/v1/namespaces/{installed.namespace}/pods?dryRun=All"

    def create(self, *, asks: bool) -> float:
        """Seconds to create a pod; SystemExit if it is not as it should be."""
        body = json.dumps(pod("p", labels={"sluicegate.dev/inject": "true" if asks else "never"}))
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
        began = time.perf_counter()
        self._connection.request("POST", self._path, body, headers)
        reply = self._connection.getresponse()
        read = reply.read()
        took = time.perf_counter() - began
        has_sidecar = b"sluicegate-sidecar" in read
        if reply.status != 201 or has_sidecar is not asks:
            raise SystemExit(f"{reply.status}, {'with' if has_sidecar else 'without'} a sidecar: {read[:500]!r}")
        return took

    def pairs(self, count: int) -> list[tuple[float, float]]:
        """Seconds with and without a sidecar, in turn: what disturbs one disturbs the other."""
        return [(self.create(asks=True), self.create(asks=False)) for _ in range(count)]


def figures_of(what: str, pairs: list[tuple[float, float]]) -> list[Figure]:
    injected, plain = ([pair[which] for pair in pairs] for which in (0, 1))
    shares: dict[str, Callable[[list[float]], float]] = {
        "median": median,
        "p99": lambda values: percentile(values, 0.99),
    }
    return [
        Figure(
            what=f"{what}, {share}",
            measured=milliseconds(of(injected)),
            floor=milliseconds(of(plain)),
            figure=of(injected) / of(plain),
        )
        for share, of in shares.items()
    ]


async def creations(installed: Installation) -> list[Figure]:
    async with installed.injector() as injector:
        callers = [Caller(installed) for _ in range(CALLERS)]
        await asyncio.to_thread(callers[0].pairs, WARM_UP)
        one = await asyncio.to_thread(callers[0].pairs, PODS)
        several = await asyncio.gather(*(asyncio.to_thread(caller.pairs, PODS // CALLERS) for caller in callers))
        memory = rss(injector.program.process.pid)
    size = Figure(what="injector, resident", measured=f"{memory:.0f} MiB", figure=memory, unit="MiB")
    return [
        *figures_of("a pod, one caller", one),
        *figures_of(f"a pod, {CALLERS} callers", [pair for pairs in several for pair in pairs]),
        size,
    ]


async def first(api: Any, service: Any) -> float:
    """From exec of an injector over an empty Secret to the answer about the first pod that has its sidecar."""
    installed = Installation(api, service)
    began = time.perf_counter()
    async with installed.injector():
        if not is_injected(await asyncio.to_thread(installed.create, "p")):
            raise SystemExit("the first pod has no sidecar")
        took = time.perf_counter() - began
    api.must("DELETE", installed.webhook_path)
    return took


async def measure() -> None:
    with tempfile.TemporaryDirectory() as folder, routed_api_server(Path(folder) / "api") as (api, service):
        firsts, libraries = [], []
        for _ in range(STARTS):
            firsts.append(await first(api, service))
            libraries.append(await import_seconds(LIBRARIES))
        created = await creations(Installation(api, service))
    start = Figure(
        what="exec to the first injected pod, median",
        measured=f"{median(firsts):.2f} s",
        floor=f"{median(libraries):.2f} s",
        figure=median(firsts),
        unit="s",
        at_most=5.0,
    )
    report(
        f"{PODS:,} pods one after the other, {PODS:,} by {CALLERS} callers; one injector; dry runs",
        "the same pod without the label; start: a Python that imports the libraries alone",
        [*created, start],
    )


def main() -> None:
    try:
        asyncio.run(measure())
    except pytest.skip.Exception as missing:
        print(f"not measured: {missing}")


if __name__ == "__main__":
    main()
