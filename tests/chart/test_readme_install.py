"""The README's commands for a cluster, typed as they stand there, on a real API server."""

import os
import re
import subprocess
from pathlib import Path

from api_server import GROUP, ApiServer, binary
from helm_chart import Release

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## Install with Helm\n(.*?)^## ", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECONDS = 60.0


def environment(server: ApiServer) -> dict[str, str]:
    """A person's: their cluster, their key, and the programs by their names."""
    folders = {str(binary(name).parent) for name in ("helm", "kubectl")}
    return {
        "PATH": os.pathsep.join([*folders, os.environ["PATH"]]),
        "HOME": str(server.folder),
        "KUBECONFIG": str(server.kubeconfig("person")),
        "OPENAI_API_KEY": "their-key",
    }


def first_line(command: str, environ: dict[str, str]) -> str:
    """Of a command that does not end by itself."""
    with subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=ROOT, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    return line.decode()


def test_install_with_helm(bare: ApiServer) -> None:
    """Every command of the section works as it stands; at the end the example's experiment is listed."""
    (text,) = SECTION.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    *typed, watch = [line for fence in FENCE.findall(text) for line in fence.splitlines()]
    environ = environment(bare)
    try:
        for command in typed:
            done = subprocess.run(
                ["sh", "-c", command], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=SECONDS
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
        assert watch.endswith("--watch")
        assert first_line(watch, environ).split()[:2] == ["NAME", "AGENT"]
        assert bare.get(f"{GROUP}/namespaces/dental/experiments/warmer-greeting") is not None
    finally:
        Release(bare, "sluicegate", "sluicegate").remove()
