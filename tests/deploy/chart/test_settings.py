"""Settings reach the pods and the processes in them."""

from pathlib import Path
from typing import Any

from tests.deploy.chart.rendering import Manifest, container, environment, of_kind, only, pod, render
from tests.deploy.chart.values import CONFIGURATION, EVERYTHING, MODES, TOGETHER, Values


def test_settings_reach_the_process() -> None:
    deployment = only(render(TOGETHER, EVERYTHING, {"maxBodyBytes": 3_000_000_000}), "Deployment")

    set_ = environment(deployment)
    assert set_["MARMITA_TOPOLOGY"] == "split"
    assert set_["MARMITA_MAX_BODY_BYTES"] == "3000000000"
    assert set_["MARMITA_OTLP_ENDPOINT"] == EVERYTHING["otlpEndpoint"]
    assert set_["TZ"] == "UTC"
    assert EVERYTHING["extraEnv"][1] in container(deployment)["env"]
    assert container(deployment)["envFrom"] == EVERYTHING["extraEnvFrom"]
    assert "MARMITA_OTLP_ENDPOINT" not in environment(only(render(TOGETHER), "Deployment"))


@MODES
def test_settings_reach_the_pods(mode: Values) -> None:
    for deployment in of_kind(render(mode, EVERYTHING), "Deployment").values():
        for setting in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
            assert pod(deployment)[setting] == EVERYTHING[setting]
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations.items() >= EVERYTHING["podAnnotations"].items()


@MODES
def test_a_configuration_is_mounted_as_it_is_and_named(mode: Values) -> None:
    manifests = render(mode, {"configuration": CONFIGURATION})

    map_ = only(manifests, "ConfigMap")
    assert map_["data"] == {"configuration.yaml": CONFIGURATION}
    for deployment in of_kind(manifests, "Deployment").values():
        named = Path(environment(deployment)["BENTOML_CONFIG"])
        (mount,) = [mount for mount in container(deployment)["volumeMounts"] if mount["mountPath"] == str(named.parent)]
        assert mount["readOnly"] is True
        (volume,) = [volume for volume in pod(deployment)["volumes"] if volume["name"] == mount["name"]]
        assert volume["configMap"]["name"] == map_["metadata"]["name"]
        assert named.name in map_["data"]


@MODES
def test_pods_are_replaced_when_the_configuration_changes_and_only_then(mode: Values) -> None:
    def pods(configuration: str, **more: Any) -> list[Manifest]:
        manifests = render(mode, {"configuration": configuration, **more})
        return [deployment["spec"]["template"] for deployment in of_kind(manifests, "Deployment").values()]

    before = pods("services: {workers: 1}")
    assert pods("services: {workers: 1}", ingress={"enabled": True}) == before
    assert all(old != new for old, new in zip(before, pods("services: {workers: 2}"), strict=True))


def test_without_a_configuration_the_image_s_own_counts() -> None:
    manifests = render(TOGETHER)

    assert of_kind(manifests, "ConfigMap") == {}
    assert "BENTOML_CONFIG" not in environment(only(manifests, "Deployment"))
