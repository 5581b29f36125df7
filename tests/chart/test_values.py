"""What is wrong in the values is refused before anything is made, and the message names the field."""

from pathlib import Path

import pytest
from helm_chart import Refused, rendered

EXTERNAL = ("redis.mode=external", "redis.external.url=redis://redis:6379/0", "redis.external.secret=redis")
JUDGES = ("judge.mode=deployment", "judge.agents[0].namespace=dental", "judge.agents[0].agent=receptionist")

WRONG = {
    # Unknown, at every depth.
    "replicas=2": "'replicas' not allowed",
    "redis.moed=external": "'moed' not allowed",
    "injector.certificates.caBundle=x": "'caBundle' not allowed",
    "image.sidecar.digest=x": "'digest' not allowed",
    "judge.agents[0].name=x": "'name' not allowed",
    # Of the wrong kind, or out of range.
    "injector.replicas=two": "/injector/replicas",
    "injector.replicas=0": "/injector/replicas",
    "injector.enabled=maybe": "/injector/enabled",
    "injector.failurePolicy=ignore": "/injector/failurePolicy",
    "injector.missingSidecar=Refuse": "/injector/missingSidecar",
    "injector.certificates.mode=certManager": "/injector/certificates/mode",
    "crds.install=yes": "/crds/install",
    "watchNamespaces=dental": "/watchNamespaces",
    "watchNamespaces={Dental}": "/watchNamespaces/0",
    "watchNamespaces={dental,dental}": "/watchNamespaces",
    "fullnameOverride=Sluice_Gate": "/fullnameOverride",
    "image.operator.repository=": "/image/operator/repository",
    "image.operator.tag=a b": "/image/operator/tag",
    "image.operator.pullPolicy=Sometimes": "/image/operator/pullPolicy",
    "redis.mode=cluster": "/redis/mode",
    "redis.access=none": "/redis/access",
    "redis.embedded.maxmemory=half": "/redis/embedded/maxmemory",
    "redis.embedded.persistence.size=lots": "/redis/embedded/persistence/size",
    "operator.resources.limit.memory=1Gi": "'limit' not allowed",
    "injector.sidecar.resources.limits.cpu=1": "/injector/sidecar/resources/limits/cpu",
    "judge.mode=inline": "/judge/mode",
    "judge.agents[0].agent=x": "missing property 'namespace'",
    "serviceMonitor.interval=often": "/serviceMonitor/interval",
    "networkPolicy.metricsFrom=all": "/networkPolicy/metricsFrom",
    # A URL with a password would be given to every sidecar.
    "redis.external.url=redis://me:secret@redis:6379/0": "/redis/external/url",
    # What one value wants of another.
    "redis.mode=external": "/redis/external/url",
    "judge.mode=deployment": "/judge/agents",
    "injector.certificates.mode=provided": "/injector/certificates/secret",
}


@pytest.mark.parametrize(("value", "told"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_is_refused(home: Path, value: str, told: str) -> None:
    """Helm refuses the value, and says which field it is."""
    with pytest.raises(Refused) as refused:
        rendered(home, value)
    assert told in str(refused.value)


def test_judges_of_an_external_redis_need_a_secret(home: Path) -> None:
    """With an external Redis nobody makes the judges' user: where it is, is asked for."""
    with pytest.raises(Refused, match="/judge/redisSecret"):
        rendered(home, *EXTERNAL, *JUDGES)
    assert rendered(home, *EXTERNAL, *JUDGES, "judge.redisSecret=judges")
