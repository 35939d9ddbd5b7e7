"""What the guide speaks of, the configuration, the chart's values and the compose file, and how to look into it."""

from typing import Any

from tests.deploy.chart.values import CHART
from tests.deploy.conftest import DEPLOY, read_yaml
from tests.e2e.server import ROOT

CONFIGURATION = read_yaml(ROOT / "configuration.yaml")["services"]
VALUES = read_yaml(CHART / "values.yaml")
COMPOSE = read_yaml(DEPLOY / "compose.yaml")


def keys(node: Any) -> set[str]:
    """All keys in a document."""
    if isinstance(node, dict):
        return set(node).union(*(keys(value) for value in node.values()))
    return set().union(*(keys(value) for value in node)) if isinstance(node, list) else set()


def has(node: Any, path: list[str]) -> bool:
    return not path or (isinstance(node, dict) and path[0] in node and has(node[path[0]], path[1:]))


def paths(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where the values in a document stand."""
    if not isinstance(node, dict):
        return [path]
    return [found for key, value in node.items() for found in paths(value, (*path, key))]
