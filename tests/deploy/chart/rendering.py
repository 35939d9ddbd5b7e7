"""Rendering the chart without a cluster, finding things in the result, and holding it against Kubernetes' schemas."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate  # type: ignore[import-untyped]
import yaml

from tests.deploy.chart.values import CHART, Values, with_

Manifest = dict[str, Any]

KUBERNETES = ("1.30", kubernetes_validate.latest_version())
"""The oldest that the chart is for, and the newest that can be checked."""


def files(*values: Values, release: str = "demo", folder: Path = CHART) -> dict[str, str]:
    """What Helm makes of the chart, by file. The same values are rendered once."""
    return _rendered(json.dumps(with_(*values)), release, folder)


@cache
def _rendered(values: str, release: str, folder: Path) -> dict[str, str]:
    with helm.Chart.load(folder) as chart:
        return chart.render(json.loads(values), name=release, namespace="models")


def render(*values: Values, release: str = "demo", folder: Path = CHART) -> list[Manifest]:
    found: list[Manifest] = json.loads(_parsed(json.dumps(with_(*values)), release, folder))
    return found


@cache
def _parsed(values: str, release: str, folder: Path) -> str:
    """The manifests as JSON, of which every test gets a copy of its own."""
    texts = [text for name, text in _rendered(values, release, folder).items() if not name.endswith("NOTES.txt")]
    return json.dumps([one for text in texts for one in yaml.load_all(text, yaml.CSafeLoader) if one])


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def only(manifests: list[Manifest], kind: str) -> Manifest:
    (manifest,) = of_kind(manifests, kind).values()
    return manifest


def pod(deployment: Manifest) -> Manifest:
    found: Manifest = deployment["spec"]["template"]["spec"]
    return found


def container(deployment: Manifest) -> Manifest:
    (found,) = pod(deployment)["containers"]
    assert isinstance(found, dict)
    return found


def environment(deployment: Manifest) -> dict[str, str]:
    variables = [variable for variable in container(deployment)["env"] if "value" in variable]
    assert all(isinstance(variable["value"], str) for variable in variables)
    return {variable["name"]: variable["value"] for variable in variables}


def selected(selector: dict[str, str], manifests: list[Manifest]) -> list[str]:
    """The deployments whose pods have these labels."""
    return [
        name
        for name, deployment in of_kind(manifests, "Deployment").items()
        if selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    ]


@cache
def check(manifest: str, version: str) -> None:
    kubernetes_validate.validate(json.loads(manifest), version, strict=True)


def valid(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] != "ServiceMonitor":
            for version in KUBERNETES:
                check(json.dumps(manifest, sort_keys=True), version)
