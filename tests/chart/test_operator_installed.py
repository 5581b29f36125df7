"""The operator as the chart runs it: with the environment of its pod, its service account, its user of Redis."""

import base64
from pathlib import Path

from api_server import GROUP
from captured import eventually
from embedded_redis import Embedded, embedded_redis
from helm_chart import Object, Release, pods_of
from processes import program
from redis.asyncio import Redis

EXAMPLE = Path(__file__).parents[2] / "examples" / "receptionist.yaml"
COMPONENT = "app.kubernetes.io/component"
READY_SECONDS = 60.0


def environment(release: Release, redis: Embedded) -> dict[str, str]:
    """That of the operator's container, with addresses of this machine, and its account's token in a kubeconfig."""
    (pod,) = [one for one in pods_of(release.manifest()) if one["metadata"]["labels"].get(COMPONENT) == "operator"]
    given = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    url = given["SLUICEGATE_REDIS_URL"].replace("$(REDIS_PASSWORD)", redis.passwords["operator"])
    address = f"{release.name}-redis.{release.namespace}.svc:6379"
    assert address in url
    token = release.server.service_account_token(release.namespace, pod["spec"]["serviceAccountName"])
    return {
        **{name: value for name, value in given.items() if value is not None},
        "SLUICEGATE_REDIS_URL": url.replace(address, f"127.0.0.1:{redis.port}"),
        "SLUICEGATE_ADMIN": "127.0.0.1:0",
        "KUBECONFIG": str(release.server.kubeconfig("operator-installed", token)),
    }


def passwords_of(release: Release) -> dict[str, str]:
    secret = release.server.must("GET", f"/api/v1/namespaces/{release.namespace}/secrets/{release.name}-redis-users")
    return {user: base64.b64decode(password).decode() for user, password in secret["data"].items()}


async def test_the_operator_has_what_it_needs(release: Release, tmp_path: Path) -> None:
    """Right after an install beside the agents the example is in force and told of, and its namespace has a user."""
    release.install(f"watchNamespaces={{{release.namespace}}}")
    server, place = release.server, release.namespace
    server.kubectl("apply", "-n", place, "-f", str(EXAMPLE))
    path = f"{GROUP}/namespaces/{place}/experiments/warmer-greeting"

    async def is_ready() -> bool:
        conditions: list[Object] = server.must("GET", path).get("status", {}).get("conditions", [])
        return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)

    async def is_told() -> bool:
        return bool(server.must("GET", f"/api/v1/namespaces/{place}/events")["items"])

    async with embedded_redis(release.helm("get", "manifest", release.name), tmp_path, passwords_of(release)) as redis:
        async with program("operator", environment(release, redis)) as operator:
            await eventually(is_ready, READY_SECONDS)
            await eventually(is_told, READY_SECONDS)
            assert not [line for line in operator.log if "forbidden" in line or "NOPERM" in line]
        user = server.must("GET", f"/api/v1/namespaces/{place}/secrets/sluicegate-redis")["data"]
        name, password = (base64.b64decode(user[key]).decode() for key in ("username", "password"))
        async with Redis.from_url(redis.url(name, password), retry=None) as theirs:
            assert await theirs.ping()
