"""The injector as the chart runs it: the environment of its pod, its service account, the webhook as it is rendered."""

import asyncio
from pathlib import Path

import injectors
from helm_chart import Release, pods_of
from processes import program

COMPONENT = "app.kubernetes.io/component"


def environment(release: Release) -> dict[str, str]:
    """That of the injector's container, on ports of this machine, and its account's token in a kubeconfig."""
    (pod,) = [one for one in pods_of(release.manifest()) if one["metadata"]["labels"].get(COMPONENT) == "injector"]
    token = release.server.service_account_token(release.namespace, pod["spec"]["serviceAccountName"])
    return {
        **{one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]},
        "SLUICEGATE_LISTEN": "127.0.0.1:0",
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        "KUBECONFIG": str(release.server.kubeconfig("injector-installed", token)),
    }


async def test_the_injector_has_what_it_needs(tmp_path: Path) -> None:
    """Right after the install pods that ask get the sidecar of the values, and after an upgrade they still do."""
    with injectors.routed_api_server(tmp_path / "server") as (server, service):
        release = Release(server, "sluicegate", server.create_namespace("sg"))
        agents = server.create_namespace("dental")
        # Not an Ignore: a webhook that cannot be called is to be seen.
        values = ("injector.failurePolicy=Fail", "injector.missingSidecar=Deny", "image.sidecar.tag=1.2.3")
        await asyncio.to_thread(release.install, *values)
        pods = f"/api/v1/namespaces/{agents}/pods"
        async with program("injector", environment(release)) as running:
            serves = await running.logs(r"injecting on (\S+), admin on (\S+);")
            service.replicas.append(serves[1])
            created = await asyncio.to_thread(server.request, "POST", pods, injectors.pod("before"))
            assert injectors.is_injected(created), created.body
            (sidecar,) = created.body["spec"]["initContainers"]
            assert sidecar["image"] == "sluicegate/sidecar:1.2.3"
            await asyncio.to_thread(release.upgrade, *values, "judge.secret=another")
            created = await asyncio.to_thread(server.request, "POST", pods, injectors.pod("after"))
            assert injectors.is_injected(created), created.body
            assert not [line for line in running.log if "forbidden" in line]
