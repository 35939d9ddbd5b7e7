"""The chart as a whole: linted, valid by Kubernetes' own schemas in every combination, and modest by default."""

from itertools import product

import helm_python as helm
import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from tests.deploy.chart.rendering import KUBERNETES, container, files, of_kind, only, render, valid
from tests.deploy.chart.values import CHART, EVERYTHING, MODES, TOGETHER, Values, with_


@MODES
@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["default", "everything"])
def test_it_lints(mode: Values, more: Values) -> None:
    report = helm.lint(CHART, with_(mode, more), strict=True)

    assert report["total_charts_linted"] == 1
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@MODES
def test_every_combination_is_valid(mode: Values) -> None:
    switches = ("ingress", "networkPolicy", "serviceMonitor", "podDisruptionBudget", "autoscaling")
    kinds = ("Ingress", "NetworkPolicy", "ServiceMonitor", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    for chosen in product([False, True], repeat=len(switches)):
        for requests in (False, True) if chosen[-1] else (False,):
            enabled: Values = {switch: {"enabled": on} for switch, on in zip(switches, chosen, strict=True)}
            metric = {"autoscaling": {"requestsInProgress": {"enabled": requests}}}

            manifests = render(mode, enabled, metric)

            valid(manifests)
            assert {kind: bool(of_kind(manifests, kind)) for kind in kinds} == dict(zip(kinds, chosen, strict=True))


@MODES
def test_with_everything_set_it_is_valid(mode: Values) -> None:
    valid(render(mode, EVERYTHING))


def test_the_check_of_validity_sees_a_misspelt_field() -> None:
    deployment = only(render(TOGETHER), "Deployment")
    container(deployment)["livenesProbe"] = {}

    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        valid([deployment])


def test_the_oldest_kubernetes_that_is_checked_is_the_oldest_that_is_let_in() -> None:
    with helm.Chart.load(CHART) as chart:
        assert chart.metadata["kubeVersion"] == f">={KUBERNETES[0]}.0-0"


def test_what_needs_something_of_the_cluster_first_is_off() -> None:
    manifests = render(TOGETHER)

    assert {manifest["kind"] for manifest in manifests} == {
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }


@MODES
def test_the_notes_name_what_was_installed(mode: Values) -> None:
    manifests = render(mode)
    notes = files(mode)["marmita/templates/NOTES.txt"]

    assert all(f"deployment/{name}" in notes for name in of_kind(manifests, "Deployment"))
    assert len(notes.splitlines()) < 20
