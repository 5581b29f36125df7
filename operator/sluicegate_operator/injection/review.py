"""From the API server's question about a pod to the answer, both an AdmissionReview of v1. Pure.

The answer is always that the pod may be created: with a patch, or with a warning of why there is none.
"""

import base64
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from sluicegate_operator.injection.pod_patch import NoPod, Patch, patch
from sluicegate_operator.injection.sidecar import SidecarSettings

API_VERSION = "admission.k8s.io/v1"
Outcome = Literal["injected", "unchanged", "warned"]


class NoReview(Exception):
    """What was sent is not a question that can be answered."""


class _Kind(msgspec.Struct):
    kind: str = ""
    group: str = ""


class _Request(msgspec.Struct):
    uid: str
    kind: _Kind
    operation: str
    namespace: Annotated[str, msgspec.Meta(min_length=1)]
    object: dict[str, Any] | None = None


class _Review(msgspec.Struct, rename="camel"):
    api_version: Literal["admission.k8s.io/v1"]
    kind: Literal["AdmissionReview"]
    request: _Request


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back, and what it amounts to."""

    body: bytes
    outcome: Outcome


def answer(question: bytes, settings: SidecarSettings, *, native: bool) -> Answer:
    """The answer to an AdmissionReview, as JSON. NoReview says what is wrong with it."""
    try:
        request = msgspec.json.decode(question, type=_Review).request
        is_new_pod = (request.kind.group, request.kind.kind, request.operation) == ("", "Pod", "CREATE")
        if not is_new_pod or request.object is None:
            return Answer(_body(request.uid, Patch()), "unchanged")
        found = patch(request.object, request.namespace, settings, native=native)
    except (NoPod, ValueError, RecursionError) as error:
        raise NoReview(f"not an AdmissionReview of {API_VERSION} of a pod: {error}") from error
    outcome: Outcome = "injected" if found.operations else "warned" if found.warning else "unchanged"
    return Answer(_body(request.uid, found), outcome)


def _body(uid: str, found: Patch) -> bytes:
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if found.operations:
        operations = msgspec.json.encode(found.operations)
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(operations).decode()}
    if found.warning:
        response["warnings"] = [found.warning]
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})
