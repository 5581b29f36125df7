"""The CustomResourceDefinitions: the only copy of the schema, of its defaults and of its rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Schema = Mapping[str, Any]

_INSTALLED = Path(__file__).parent / "crds"
_IN_CHECKOUT = Path(__file__).parents[3] / "charts" / "sluicegate" / "files" / "crds"

_ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA: Schema = {
    "namespace": {
        "type": "string",
        "default": "default",
        "maxLength": 63,
        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    },
    "labels": _TEXTS,
    "annotations": _TEXTS,
    # What `kubectl get -o yaml` adds.
    "creationTimestamp": _ANYTHING,
    "deletionGracePeriodSeconds": _ANYTHING,
    "deletionTimestamp": _ANYTHING,
    "finalizers": _ANYTHING,
    "generation": _ANYTHING,
    "managedFields": _ANYTHING,
    "ownerReferences": _ANYTHING,
    "resourceVersion": _ANYTHING,
    "selfLink": _ANYTHING,
    "uid": _ANYTHING,
}
"""What an API server knows of metadata without being told by a CustomResourceDefinition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A kind of resource and its structural schema, metadata included."""

    kind: str
    api_version: str
    schema: Schema


@cache
def definitions() -> Mapping[str, Definition]:
    """All kinds of resources, by name; FileNotFoundError if the installation lacks the files."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _IN_CHECKOUT
    files = [folder / "experiments.yaml", folder / "evaluationpolicies.yaml"]
    return {definition.kind: definition for definition in map(_definition, files)}


def _definition(file: Path) -> Definition:
    spec = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))["spec"]
    version = spec["versions"][0]
    return Definition(
        kind=spec["names"]["kind"],
        api_version=f"{spec['group']}/{version['name']}",
        schema=_with_metadata(version["schema"]["openAPIV3Schema"]),
    )


def _with_metadata(schema: Schema) -> Schema:
    own = schema["properties"]["metadata"]
    metadata = own | {"required": ["name"], "properties": own["properties"] | _METADATA}
    properties = schema["properties"] | {"metadata": metadata}
    return {**schema, "required": ["metadata", *schema["required"]], "properties": properties}
