"""The form of the older scripts' `config.json`, turned into ours: `clusters[].name`, `clusters[].customers[].{id, profile}`."""

import re
from typing import Any

from backfill_pipeline.domain.naming import ID_FORM


def from_older_form(tree: dict[str, Any]) -> dict[str, Any]:
    """Customers with a single `profile` become customers with profiles; the same id again adds a profile."""
    clusters = tree.get("clusters")
    if not isinstance(clusters, list):
        return tree
    return {**tree, "clusters": [_cluster_of(c) for c in clusters]}


def _cluster_of(cluster: Any) -> Any:
    customers = cluster.get("customers") if isinstance(cluster, dict) else None
    if not isinstance(customers, list) or not all(
        isinstance(c, dict) and set(c) == {"id", "profile"} for c in customers
    ):
        return cluster
    if not all(_is_id(value) for c in customers for value in c.values()):  # unmerged, a mistake keeps its place
        return {**cluster, "customers": [{"id": c["id"], "profiles": [c["profile"]]} for c in customers]}
    profiles: dict[str, list[str]] = {}
    for customer in customers:
        profiles.setdefault(customer["id"], []).append(customer["profile"])
    return {**cluster, "customers": [{"id": i, "profiles": p} for i, p in profiles.items()]}


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(ID_FORM, value) is not None
