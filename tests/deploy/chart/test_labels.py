"""What points to what: labels, selectors, names and ports."""

from itertools import product

from tests.deploy.chart.rendering import container, of_kind, pod, render, selected, valid
from tests.deploy.chart.values import EVERYTHING, MODES, SEPARATE, TOGETHER, Values


@MODES
def test_every_selector_means_the_pods_of_one_deployment(mode: Values) -> None:
    manifests = render(mode)
    for name, deployment in of_kind(manifests, "Deployment").items():
        means = deployment["spec"]["selector"]["matchLabels"]
        assert selected(means, manifests) == [name]
        service = of_kind(manifests, "Service")[name]
        budget = of_kind(manifests, "PodDisruptionBudget")[name]
        spread = pod(deployment)["topologySpreadConstraints"]
        assert len(spread) == 2
        assert service["spec"]["selector"] == means
        assert budget["spec"]["selector"]["matchLabels"] == means
        assert [constraint["labelSelector"]["matchLabels"] for constraint in spread] == [means, means]
    assert len(of_kind(manifests, "PodDisruptionBudget")) == len(of_kind(manifests, "Service"))


def test_the_pods_of_another_mode_or_release_are_not_meant() -> None:
    """While one takes the place of the other, both are there."""
    kinds = [render(TOGETHER), render(SEPARATE), render(TOGETHER, release="other"), render(SEPARATE, release="other")]
    for mine, theirs in product(kinds, repeat=2):
        if mine is not theirs:
            for deployment in of_kind(mine, "Deployment").values():
                assert selected(deployment["spec"]["selector"]["matchLabels"], theirs) == []


@MODES
def test_everything_has_the_standard_labels(mode: Values) -> None:
    for manifest in render(mode, EVERYTHING):
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "marmita"
        assert labels["app.kubernetes.io/instance"] == "demo"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert {"app.kubernetes.io/version", "helm.sh/chart"} <= labels.keys()


@MODES
def test_names_fit_however_long_the_release_s_is(mode: Values) -> None:
    manifests = render(mode, EVERYTHING, release="r" * 53)

    valid(manifests)
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, name in names)
    assert all(len(label) <= 63 for manifest in manifests for label in manifest["metadata"]["labels"].values())


@MODES
def test_every_service_leads_to_a_port_that_is_there(mode: Values) -> None:
    manifests = render(mode, {"service": {"port": 8080}})
    for service in of_kind(manifests, "Service").values():
        (deployment,) = selected(service["spec"]["selector"], manifests)
        (port,) = service["spec"]["ports"]
        (there,) = container(of_kind(manifests, "Deployment")[deployment])["ports"]
        assert port == {"name": "http", "port": 8080, "targetPort": there["name"]}
