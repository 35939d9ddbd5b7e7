"""One deployment for all models, or one for each."""

from tests.deploy.chart.ingress import backend
from tests.deploy.chart.rendering import container, environment, of_kind, only, render, valid
from tests.deploy.chart.values import MODELS, NAMES, ONE, OTHER, ROUTES, SEPARATE, THIRD, TOGETHER, Values


def test_together_one_deployment_serves_all_models() -> None:
    manifests = render(TOGETHER, {"image": {"repository": "registry.example.com/marmita"}})

    assert set(of_kind(manifests, "Deployment")) == set(of_kind(manifests, "Service")) == {"demo-marmita"}
    deployment = only(manifests, "Deployment")
    assert container(deployment)["image"] == "registry.example.com/marmita:v1"
    assert environment(deployment)["MARMITA_TOPOLOGY"] == "colocated"


def test_separate_each_model_has_a_deployment_of_its_own() -> None:
    manifests = render(SEPARATE)

    deployments = of_kind(manifests, "Deployment")
    assert set(deployments) == set(of_kind(manifests, "Service")) == {f"demo-marmita-{model}" for model in MODELS}
    for model in MODELS:
        deployment = deployments[f"demo-marmita-{model}"]
        assert container(deployment)["image"] == f"{NAMES[model]}:v1-{model}"
        assert "MARMITA_TOPOLOGY" not in environment(deployment)


def test_a_model_can_be_taken_away() -> None:
    without: Values = {"models": {ONE: None}, "ingress": {"enabled": True}}

    separate, together = render(SEPARATE, without), render(TOGETHER, without)

    assert set(of_kind(separate, "Deployment")) == {f"demo-marmita-{model}" for model in MODELS if model != ONE}
    for manifests in (separate, together):
        assert {backend(only(manifests, "Ingress"), route) for route in ROUTES[ONE]} == {None}


def test_what_a_model_says_counts_over_what_is_said_for_all() -> None:
    one = {"autoscaling": {"enabled": False}, "replicas": 5, "resources": {"limits": {"memory": "2Gi"}}}
    other = {"autoscaling": {"maxReplicas": 40}}
    for_all: Values = {"replicas": 3, "separate": {"autoscaling": {"maxReplicas": 20}}}
    manifests = render(SEPARATE, for_all, {"models": {ONE: one, OTHER: other}})

    scalers, deployments = of_kind(manifests, "HorizontalPodAutoscaler"), of_kind(manifests, "Deployment")
    assert set(scalers) == set(deployments) - {f"demo-marmita-{ONE}"}
    assert scalers[f"demo-marmita-{OTHER}"]["spec"]["maxReplicas"] == 40
    assert scalers[f"demo-marmita-{THIRD}"]["spec"]["maxReplicas"] == 20
    assert deployments[f"demo-marmita-{ONE}"]["spec"]["replicas"] == 5
    resources = {name: container(deployment)["resources"] for name, deployment in deployments.items()}
    assert resources[f"demo-marmita-{ONE}"] == {
        "requests": {"cpu": "500m", "memory": "384Mi"},
        "limits": {"memory": "2Gi"},
    }
    assert resources[f"demo-marmita-{THIRD}"]["limits"] == {"memory": "768Mi"}


def test_what_counts_for_separate_models_is_nothing_to_all_together() -> None:
    separate: Values = {"separate": {"replicas": 7, "autoscaling": {"maxReplicas": 20}, "resources": {"limits": {}}}}

    assert render(TOGETHER, separate) == render(TOGETHER)


def test_a_fourth_model_is_an_entry_in_the_values() -> None:
    iris = {"image": {"repository": "iris", "tag": "v1"}, "routes": ["/flowers/classify", "/flowers/by-petal"]}
    more: Values = {"models": {"iris-2": iris}, "ingress": {"enabled": True}}

    together, separate = (render(mode, more) for mode in (TOGETHER, SEPARATE))

    valid([*together, *separate])
    assert container(of_kind(separate, "Deployment")["demo-marmita-iris-2"])["image"] == "iris:v1"
    for path in (*iris["routes"], "/models/iris_2", "/v2/models/iris_2/infer"):
        assert backend(only(together, "Ingress"), path) == "demo-marmita"
        assert backend(only(separate, "Ingress"), path) == "demo-marmita-iris-2"


def test_models_may_have_names_as_long_as_names_can_be() -> None:
    models = {
        model: {"image": {"repository": "long", "tag": "v1"}, "routes": [f"/{model}"], "host": f"{model}.example.com"}
        for model in ("l" * 63, "l" * 62 + "k")
    }
    manifests = render(SEPARATE, {"models": models, "ingress": {"enabled": True}}, release="r" * 53)

    valid(manifests)
    assert len(of_kind(manifests, "Deployment")) == len(MODELS) + len(models)
    ingress = only(manifests, "Ingress")
    for name, deployment in of_kind(manifests, "Deployment").items():
        assert len(name) <= 63
        model = deployment["metadata"]["labels"]["app.kubernetes.io/component"]
        assert backend(ingress, f"/models/{NAMES.get(model, model)}") == name
        assert model not in models or backend(ingress, f"/{model}", f"{model}.example.com") == name
