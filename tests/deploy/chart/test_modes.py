"""One deployment for all models, or one for each."""

import json
import shutil
from pathlib import Path

import yaml

from tests.deploy.chart.ingress import backend
from tests.deploy.chart.rendering import container, environment, of_kind, only, render, valid
from tests.deploy.chart.values import CHART, MODELS, ROUTES, SEPARATE, TOGETHER, Values


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
        assert container(deployment)["image"] == f"{model.replace('-', '_')}:v1-{model}"
        assert "MARMITA_TOPOLOGY" not in environment(deployment)


def test_a_model_can_be_taken_away() -> None:
    without: Values = {"models": {"stock-forecast": None}, "ingress": {"enabled": True}}

    separate, together = render(SEPARATE, without), render(TOGETHER, without)

    assert set(of_kind(separate, "Deployment")) == {"demo-marmita-fetal-health", "demo-marmita-wine-quality"}
    for manifests in (separate, together):
        assert backend(only(manifests, "Ingress"), ROUTES["stock-forecast"]) is None


def test_what_a_model_says_counts_over_what_is_said_for_all() -> None:
    wine = {"autoscaling": {"enabled": False}, "replicas": 5, "resources": {"limits": {"memory": "2Gi"}}}
    fetal = {"autoscaling": {"maxReplicas": 40}}
    manifests = render(SEPARATE, {"replicas": 3, "models": {"wine-quality": wine, "fetal-health": fetal}})

    scalers, deployments = of_kind(manifests, "HorizontalPodAutoscaler"), of_kind(manifests, "Deployment")
    assert set(scalers) == {"demo-marmita-fetal-health", "demo-marmita-stock-forecast"}
    assert {name: scaler["spec"]["maxReplicas"] for name, scaler in scalers.items()} == {
        "demo-marmita-fetal-health": 40,
        "demo-marmita-stock-forecast": 10,
    }
    assert deployments["demo-marmita-wine-quality"]["spec"]["replicas"] == 5
    resources = {name: container(deployment)["resources"] for name, deployment in deployments.items()}
    assert resources["demo-marmita-wine-quality"] == {
        "requests": {"cpu": "500m", "memory": "384Mi"},
        "limits": {"memory": "2Gi"},
    }
    assert resources["demo-marmita-stock-forecast"]["limits"] == {"memory": "768Mi"}


def test_a_fourth_model_is_an_entry_in_the_values_and_its_key_in_the_schema(tmp_path: Path) -> None:
    folder = tmp_path / "marmita"
    shutil.copytree(CHART, folder)
    values, schema = yaml.safe_load((folder / "values.yaml").read_text()), json.loads(_schema(folder).read_text())
    values["models"]["iris"] = values["models"]["wine-quality"] | {"image": {"repository": "iris", "tag": "v1"}}
    schema["properties"]["models"]["properties"]["iris"] = {"$ref": "#/definitions/model"}
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    _schema(folder).write_text(json.dumps(schema))

    together, separate = (render(mode, {"ingress": {"enabled": True}}, folder=folder) for mode in (TOGETHER, SEPARATE))

    valid([*together, *separate])
    assert container(of_kind(separate, "Deployment")["demo-marmita-iris"])["image"] == "iris:v1"
    for path in ("/iris/classify", "/models/iris", "/v2/models/iris/infer"):
        assert backend(only(together, "Ingress"), path) == "demo-marmita"
        assert backend(only(separate, "Ingress"), path) == "demo-marmita-iris"


def _schema(folder: Path) -> Path:
    return folder / "values.schema.json"
