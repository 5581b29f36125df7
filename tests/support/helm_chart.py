"""The chart, through the real helm: what it renders, what it makes of values, and releases of it."""

import contextlib
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api_server import CRDS, ApiServer, binary
from ruamel.yaml import YAML

CHART = Path(__file__).parents[2] / "charts" / "sluicegate"
SNAPSHOTS = Path(__file__).parents[1] / "chart" / "snapshots"
SECONDS = 120.0
Object = dict[str, Any]
# What every object says, and another test sees to.
SAID_BY_ALL = re.compile(
    r"^ *(?:helm.sh/chart|app.kubernetes.io/(?:version|managed-by|name|instance)): .*\n", re.MULTILINE
)
PASSWORD = re.compile(r"^(  (?:operator|judge): )[A-Za-z0-9+/=]{40,}$", re.MULTILINE)


CLUSTERWIDE = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
VARIANTS: dict[str, tuple[str, ...]] = {
    "as-it-comes": (),
    "as-little-as-possible": (
        *("injector.enabled=false", "networkPolicy.enabled=false", "redis.access=given"),
        *("redis.embedded.existingSecret=passwords", "redis.embedded.persistence.enabled=false"),
    ),
    "everything-external": (
        *("redis.mode=external", "redis.external.secret=redis"),
        "redis.external.url=rediss://redis.example.com:6380/0?ssl_ca_certs=/etc/sluicegate/redis/ca.crt",
        *("judge.mode=deployment", "judge.redisSecret=judges"),
        *("judge.agents[0].namespace=hotel", "judge.agents[0].agent=receptionist", "judge.agents[0].replicas=2"),
        *("judge.agents[1].namespace=clinic", "judge.agents[1].agent=triage"),
        *("watchNamespaces={hotel,clinic}", "injector.failurePolicy=Fail", "injector.missingSidecar=Deny"),
        *("injector.certificates.mode=provided", "injector.certificates.secret=certificate"),
        *("serviceMonitor.enabled=true", "serviceMonitor.labels.release=prometheus", "image.pullSecrets={pull}"),
        *("pods.labels.team=voice", "pods.annotations.note=ours", "pods.priorityClassName=system-cluster-critical"),
        *("pods.nodeSelector.disk=ssd", "pods.tolerations[0].operator=Exists", "image.operator.tag=0.1.0-rc1"),
        "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.monitoring=yes",
    ),
}
"""Values whose rendering is written down, and accepted by an API server."""


class Refused(Exception):
    """helm ended with an error; its text is what helm said."""


def helm(*words: str, home: Path, kubeconfig: Path | None = None) -> str:
    """The output of a helm command; Refused with what it complained of. `home` keeps it out of the user's own files."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(kubeconfig or home / "none")}
    command = [str(binary("helm")), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def settings(values: Sequence[str]) -> list[str]:
    """`--set` for each `name=value`."""
    return [word for value in values for word in ("--set", value)]


def rendered(home: Path, *values: str, namespace: str = "sluicegate", release: str = "sluicegate") -> str:
    """What `helm template` makes of the chart: YAML. Refused if the values are."""
    return helm("template", release, str(CHART), "--namespace", namespace, *settings(values), home=home)


def objects(text: str) -> list[Object]:
    """The objects in a stream of YAML."""
    return [one for one in YAML(typ="safe", pure=True).load_all(text) if one]


def pods_of(found: Sequence[Object]) -> list[Object]:
    """Pods as the objects would make them: those of Deployments and StatefulSets, and bare ones."""
    pods = []
    for one in found:
        if one["kind"] == "Pod":
            pods.append(one)
        elif one["kind"] in ("Deployment", "StatefulSet"):
            pod = {"apiVersion": "v1", "kind": "Pod", **one["spec"]["template"]}
            claims = [claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", ())]
            volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]
            pod["spec"]["volumes"] = [*pod["spec"].get("volumes", ()), *volumes]
            pods.append(pod)
    return pods


def snapshot(home: Path, variant: str) -> str:
    """The rendering of a variant as it is written down: without definitions, passwords, and what all objects say."""
    text = rendered(home, *VARIANTS[variant], "crds.install=false")
    lines = SAID_BY_ALL.sub("", PASSWORD.sub(r"\1(made at the first install)", text)).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the chart on an API server, by its name and namespace."""

    server: ApiServer
    name: str
    namespace: str
    chart: Path = CHART

    def helm(self, *words: str) -> str:
        """A helm command in the release's namespace; Refused with what it complained of."""
        kubeconfig = self.server.kubeconfig("admin")
        return helm(*words, "--namespace", self.namespace, home=self.server.folder, kubeconfig=kubeconfig)

    def install(self, *values: str, server_side: bool = True) -> str:
        """Not on the server's side: as helm 3 does it. Upgrades and rollbacks keep to what the install did."""
        flag = f"--server-side={str(server_side).lower()}"
        return self.helm("install", self.name, str(self.chart), flag, *settings(values))

    def upgrade(self, *values: str) -> str:
        """To these values; those that are not given are the chart's own again."""
        return self.helm("upgrade", self.name, str(self.chart), "--reset-values", *settings(values))

    def remove(self) -> None:
        """Uninstalls it, if it is installed, and takes away the definitions, which an uninstall keeps."""
        with contextlib.suppress(Refused):
            self.helm("uninstall", self.name)
        kinds = [f"{file.stem}.sluicegate.dev" for file in CRDS.glob("*.yaml")]
        self.server.kubectl("delete", "crd", "--ignore-not-found", *kinds)

    def manifest(self) -> list[Object]:
        """The objects of the release as helm recorded them, hooks aside."""
        return objects(self.helm("get", "manifest", self.name))
