"""Texts of a configuration that are kept in ConfigMaps."""

import time
from collections.abc import Mapping
from typing import Any

from sluicegate_operator.cluster.api import Api, Object
from sluicegate_operator.errors import NotThere

KEEP_SECONDS = 10.0
"""An edited ConfigMap is seen so much later at most."""
MOST_KEPT = 1_000

Texts = Mapping[str, str]
"""The data of a ConfigMap."""


def config_maps(spec: Mapping[str, Any]) -> set[str]:
    """The names of the ConfigMaps that a spec refers to."""
    return {reference["configMapKeyRef"]["name"] for variant in spec["variants"] for reference in _references(variant)}


def resolved(spec: Object, found: Mapping[str, Texts | None]) -> tuple[Object, dict[str, list[str]]]:
    """The spec with the texts in its configurations, and by variant what is missing of them, in words."""
    missing: dict[str, list[str]] = {}
    variants = []
    for variant in spec["variants"]:
        config = dict(variant.get("config") or {})
        for reference in _references(variant):
            name, key = reference["configMapKeyRef"]["name"], reference["configMapKeyRef"]["key"]
            texts = found.get(name)
            if texts is None:
                missing.setdefault(variant["name"], []).append(f"ConfigMap {name}")
            elif key not in texts:
                missing.setdefault(variant["name"], []).append(f"key {key} of ConfigMap {name}")
            else:
                config[reference["field"]] = texts[key]
        variants.append({**variant, "config": config})
    return {**spec, "variants": variants}, missing


def _references(variant: Mapping[str, Any]) -> list[Any]:
    return variant.get("configFrom") or []


class ConfigMaps:
    """Reads ConfigMaps, each at most every few seconds: to watch all of a cluster would take rights to all of it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[tuple[str, str], tuple[float, Texts | None]] = {}

    async def read(self, namespace: str, names: set[str]) -> dict[str, Texts | None]:
        """By name the data; None where there is no such ConfigMap."""
        return {name: await self._one(namespace, name) for name in names}

    async def _one(self, namespace: str, name: str) -> Texts | None:
        now = time.monotonic()
        at, texts = self._kept.get((namespace, name), (0.0, None))
        if (namespace, name) in self._kept and now - at < KEEP_SECONDS:
            return texts
        try:
            body = await self._api.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
            texts = body.get("data") or {}
        except NotThere:
            texts = None
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[namespace, name] = (now, texts)
        return texts
