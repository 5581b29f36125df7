"""The API server's question, and the answer to it."""

import base64
import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pods import SETTINGS, Json, a_pod, any_pods, applied

from sluicegate_operator.injection.pod_patch import patch
from sluicegate_operator.injection.review import NoReview, answer


def question(pod: object, **request: Any) -> bytes:
    asked = {"uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", **request}
    asked = {"namespace": "dental", "object": pod, **asked}
    return json.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": asked}).encode()


def response(asked: bytes) -> Json:
    told = json.loads(answer(asked, SETTINGS, native=True).body)
    assert (told["kind"], told["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
    found: Json = told["response"]
    return found


@given(any_pods())
def test_every_pod_is_allowed(pod: Json) -> None:
    """With the same uid, the patch as the API server reads it, and the warning if there is one."""
    found = patch(pod, "dental", SETTINGS, native=True)
    told = response(question(pod))
    assert (told["uid"], told["allowed"]) == ("u-1", True)
    assert told.get("warnings", []) == ([found.warning] if found.warning else [])
    operations = json.loads(base64.b64decode(told.get("patch", base64.b64encode(b"[]"))))
    assert applied(pod, operations) == applied(pod, found.operations)
    assert ("patch" in told) == ("patchType" in told) == bool(found.operations)


@pytest.mark.parametrize(
    "request_of",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"kind": {"group": "apps", "version": "v1", "kind": "Pod"}},
        {"kind": {"group": "", "version": "v1", "kind": "Service"}},
    ],
)
def test_what_is_no_new_pod_is_left_alone(request_of: Json) -> None:
    """A configuration that asks for too much does no harm."""
    assert response(question(**{"pod": a_pod(), **request_of})) == {"uid": "u-1", "allowed": True}


@pytest.mark.parametrize(
    ("pod", "outcome"),
    [
        (a_pod(), "injected"),
        ({**a_pod(), "metadata": {}}, "warned"),
        ({**a_pod(), "metadata": {"labels": {"sluicegate.dev/inject": "false"}}}, "unchanged"),
    ],
)
def test_the_outcome_is_told(pod: Json, outcome: str) -> None:
    """For the metrics."""
    assert answer(question(pod), SETTINGS, native=True).outcome == outcome


GOOD = question(a_pod(initContainers=[{"name": "i"}], volumes=[{"name": "v"}]))


@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.binary(max_size=20))
def test_any_bytes_are_answered_or_refused(at: int, gone: int, junk: bytes) -> None:
    """A question that was garbled on its way ends in an answer or in NoReview, and in nothing else."""
    with suppress(NoReview):
        json.loads(answer(GOOD[:at] + junk + GOOD[at + gone :], SETTINGS, native=True).body)


FULL = a_pod(
    initContainers=[{"name": "i", "ports": [{"containerPort": 1}]}],
    containers=[{"name": "c", "env": [{"name": "e"}], "volumeMounts": [{"name": "v", "mountPath": "/p"}], "ports": []}],
    volumes=[{"name": "v"}],
    os={"name": "linux"},
    hostNetwork=True,
    dnsPolicy="None",
)
JUNK: list[Any] = [None, True, 1, "x", [], {}, [1], [[]], [None], {"a": 1}, [{}], [{"name": []}], {"name": {}}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything in a piece of JSON, and to the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, one in inner for place in places(one, (*path, name)))]


@pytest.mark.parametrize("place", places(FULL)[1:], ids=lambda place: "/".join(map(str, place)))
def test_any_shape_is_answered_or_refused(place: tuple[Any, ...]) -> None:
    """Whatever stands where something else belongs, anywhere in a pod."""
    for junk in JUNK:
        pod = copy.deepcopy(FULL)
        inner: Any = pod
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = junk
        with suppress(NoReview):
            told = response(question(pod))
            applied(pod, json.loads(base64.b64decode(told.get("patch", base64.b64encode(b"[]")))))
