"""What an ingress controller makes of an Ingress: which service answers for a path on a host."""

from typing import Any

from tests.deploy.chart.rendering import Manifest


def backend(ingress: Manifest, path: str, host: str = "models.example.com") -> str | None:
    """The service that answers: by the host's own rule if there is one, then by an exact path, then by the longest
    prefix, whole segments only.
    """
    found: list[tuple[bool, int, str]] = []
    for one in _paths(ingress, host):
        exact = one["pathType"] == "Exact"
        if path == one["path"] or (not exact and path.startswith(f"{one['path']}/")):
            found.append((exact, len(one["path"]), one["backend"]["service"]["name"]))
    return max(found)[2] if found else None


def _paths(ingress: Manifest, host: str) -> list[dict[str, Any]]:
    """The paths of the rule that counts for a host: its own, or else the one for any host."""
    rules = {rule.get("host", ""): rule["http"]["paths"] for rule in ingress["spec"]["rules"]}
    assert len(rules) == len(ingress["spec"]["rules"]), "a host has two rules"
    found: list[dict[str, Any]] = rules.get(host, rules.get("", []))
    return found
