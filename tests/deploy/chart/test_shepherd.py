"""The shepherd and the store: who writes models, who reads them, and what the shepherd may and may not do."""

from datetime import timedelta
from typing import Any

import helm_python as helm
import pytest
import yaml

from marmita.settings import duration
from tests.deploy.chart.rendering import Manifest, container, environment, of_kind, only, pod, render, selected, valid
from tests.deploy.chart.test_records import secrets
from tests.deploy.chart.values import CHART, EVERYTHING, MODELS, MODES, TOGETHER, Values

NAME = "demo-marmita-shepherd"
STORE: Values = {"store": {"existingClaim": "models"}}
SHEPHERD: Values = STORE | {
    "database": {"existingSecret": "records"},
    "shepherd": {"enabled": True, "image": {"tag": "abc123"}},
}
STAYS: Values = {"shepherd": {"mode": "deployment"}}
KINDS = pytest.mark.parametrize("kind", [{}, STAYS], ids=["cronjob", "deployment"])


def shepherd(*more: Values) -> Manifest:
    """Something that has a pod in it, as a deployment has: the shepherd's own, or the CronJob's job."""
    (found,) = (
        one
        for one in render(TOGETHER, SHEPHERD, *more)
        if one["metadata"]["name"] == NAME and "rules" not in one and one["kind"] in ("CronJob", "Deployment")
    )
    return {"spec": found["spec"]["jobTemplate"]["spec"]} if found["kind"] == "CronJob" else found


def seconds(text: str) -> float:
    return duration(text) / timedelta(seconds=1)


@MODES
@KINDS
@pytest.mark.parametrize("more", [{}, EVERYTHING], ids=["plain", "everything"])
def test_it_is_valid(mode: Values, kind: Values, more: Values) -> None:
    valid(render(mode, SHEPHERD, more, kind))


@MODES
def test_without_it_nothing_of_it_is_there(mode: Values) -> None:
    manifests = render(mode)

    assert of_kind(manifests, "CronJob") == {}
    assert not [one for one in manifests if "shepherd" in one["metadata"]["name"]]
    for deployment in of_kind(manifests, "Deployment").values():
        assert "MARMITA_FOLLOW_STORE" not in environment(deployment)
        assert {volume["name"] for volume in pod(deployment)["volumes"]} == {"tmp"}


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        ({"store": {"existingClaim": ""}}, r"shepherd\.enabled .*store\.existingClaim"),
        ({"database": {"existingSecret": ""}}, r"shepherd\.enabled .*database\.existingSecret"),
        ({"shepherd": {"image": {"tag": ""}}}, r"shepherd\.image\.tag\b"),
    ],
    ids=["store", "database", "version"],
)
def test_it_says_what_is_missing(without: Values, missing: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=missing):
        render(TOGETHER, SHEPHERD, without)


def test_one_job_looks_at_a_time_and_is_not_tried_again_before_its_time() -> None:
    job = only(render(TOGETHER, SHEPHERD), "CronJob")["spec"]

    assert job["schedule"] == "0 * * * *"
    assert job["concurrencyPolicy"] == "Forbid"
    assert 0 < job["startingDeadlineSeconds"] < 3600
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert {job["successfulJobsHistoryLimit"], job["failedJobsHistoryLimit"]} == {3}
    assert container(shepherd())["args"] == ["--once"]
    assert pod(shepherd())["restartPolicy"] == "Never"


@pytest.mark.parametrize("timeout", ["1h", "30m", "1d"])
def test_a_job_has_time_to_train_every_model_and_one_of_them_twice(timeout: str) -> None:
    job = shepherd({"shepherd": {"retrain": {"timeout": timeout}}})["spec"]

    trainings = (len(MODELS) + 1) * seconds(timeout)
    assert trainings < job["activeDeadlineSeconds"] <= trainings + 900


def test_one_that_stays_is_alone_also_while_it_is_replaced() -> None:
    deployment = of_kind(render(TOGETHER, SHEPHERD, STAYS), "Deployment")[NAME]["spec"]

    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}
    assert "args" not in container({"spec": deployment})


@KINDS
def test_it_may_do_no_more_than_the_service_may(kind: Values) -> None:
    service = only(render(TOGETHER), "Deployment")

    for field in ("securityContext", "automountServiceAccountToken", "serviceAccountName", "enableServiceLinks"):
        assert pod(shepherd(kind))[field] == pod(service)[field]
    assert container(shepherd(kind))["securityContext"] == container(service)["securityContext"]
    mounts = {mount["mountPath"] for mount in container(shepherd(kind))["volumeMounts"] if not mount.get("readOnly")}
    assert mounts == {"/tmp", "/store"}
    assert pod(shepherd(kind))["terminationGracePeriodSeconds"] > 5


@MODES
def test_it_writes_the_models_that_every_pod_reads(mode: Values) -> None:
    manifests = render(mode, SHEPHERD)

    claim = {"name": "store", "persistentVolumeClaim": {"claimName": "models"}}
    for deployment in of_kind(manifests, "Deployment").values():
        (mount,) = [mount for mount in container(deployment)["volumeMounts"] if mount["name"] == "store"]
        assert mount == {"name": "store", "mountPath": "/store/models", "subPath": "models", "readOnly": True}
        assert claim in pod(deployment)["volumes"]
        assert environment(deployment)["MARMITA_FOLLOW_STORE"] == "True"
    assert claim in pod(shepherd())["volumes"]
    assert environment(shepherd())["BENTOML_HOME"] == "/store"


def test_a_store_can_be_followed_without_a_shepherd() -> None:
    manifests = render(TOGETHER, STORE)

    valid(manifests)
    assert environment(only(manifests, "Deployment"))["MARMITA_FOLLOW_STORE"] == "True"
    assert of_kind(manifests, "CronJob") == {}


@KINDS
def test_settings_reach_it(kind: Values) -> None:
    told = environment(shepherd(EVERYTHING, kind))

    assert {name: value for name, value in told.items() if name.startswith("MARMITA_")} == {
        "MARMITA_QUALITY_WINDOW": "7d",
        "MARMITA_SHEPHERD_INTERVAL": "2h",
        "MARMITA_SHEPHERD_TICKER": "MSFT",
        "MARMITA_RETRAIN_MAX_AGE": "10d",
        "MARMITA_RETRAIN_ERROR_RATIO": "2.5",
        "MARMITA_RETRAIN_MIN_LABELS": "50",
        "MARMITA_RETRAIN_BACKOFF": "12h",
        "MARMITA_RETRAIN_TIMEOUT": "30m",
        "MARMITA_RETRAIN_MEMORY_MB": "2048",
        "MARMITA_RETRAIN_KEEP_VERSIONS": "5",
        "MARMITA_MLFLOW_URI": "http://mlflow.mlflow:5000",
    }
    assert told["OMP_NUM_THREADS"] == "2"
    assert secrets(shepherd(EVERYTHING, kind)) == {"MARMITA_DATABASE_URL": {"name": "records", "key": "uri"}}
    for setting in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
        assert pod(shepherd(EVERYTHING, kind))[setting] == EVERYTHING[setting]


def test_mlflow_with_a_password_is_a_secret() -> None:
    hidden = shepherd({"shepherd": {"mlflow": {"existingSecret": "mlflow"}}})

    assert secrets(hidden)["MARMITA_MLFLOW_URI"] == {"name": "mlflow", "key": "uri"}
    assert "MARMITA_MLFLOW_URI" not in environment(hidden)


@KINDS
def test_mlflow_has_one_address(kind: Values) -> None:
    both: Values = {"shepherd": {"mlflow": {"uri": "http://mlflow.mlflow:5000", "existingSecret": "mlflow"}}}

    with pytest.raises(helm.HelmRenderError, match=r"shepherd\.mlflow .*uri .*existingSecret"):
        render(TOGETHER, SHEPHERD, both, kind)


def test_a_ratio_on_the_command_line_is_a_number_too() -> None:
    told = shepherd(helm.parse_set_string("shepherd.retrain.errorRatio=1.25"))

    assert environment(told)["MARMITA_RETRAIN_ERROR_RATIO"] == "1.25"


def test_a_training_has_room_beside_the_shepherd() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())["shepherd"]
    size, unit = values["resources"]["limits"]["memory"][:-2], values["resources"]["limits"]["memory"][-2:]

    assert unit == "Gi"
    assert int(size) * 1024 >= values["retrain"]["memoryMb"] + 1024


@MODES
@KINDS
def test_nobody_takes_it_for_a_pod_that_answers(mode: Values, kind: Values) -> None:
    manifests = render(mode, SHEPHERD, kind)
    labels = shepherd(kind)["spec"]["template"]["metadata"]["labels"].items()

    for service in of_kind(manifests, "Service").values():
        assert not service["spec"]["selector"].items() <= labels
    for budget in of_kind(manifests, "PodDisruptionBudget").values():
        assert not budget["spec"]["selector"]["matchLabels"].items() <= labels
    assert NAME not in of_kind(manifests, "Service")


def test_it_may_call_the_database_yahoo_and_mlflow() -> None:
    mlflow: Values = {"shepherd": {"mlflow": {"uri": "http://mlflow.mlflow:5000"}}}
    where: Values = {"networkPolicy": {"mlflow": {"namespace": "mlflow", "port": 5050}}}

    def egress(*more: Values) -> list[dict[str, Any]]:
        manifests = render(TOGETHER, SHEPHERD, STAYS, *more)
        policies = of_kind(manifests, "NetworkPolicy")
        for_all, own = policies["demo-marmita"]["spec"], policies[NAME]["spec"]
        assert NAME in selected(for_all["podSelector"]["matchLabels"], manifests)
        assert selected(own["podSelector"]["matchLabels"], manifests) == [NAME]
        assert own["policyTypes"] == ["Egress"]
        assert {"ports": [{"port": 5432}]} in for_all["egress"]
        found: list[dict[str, Any]] = own["egress"]
        return found

    (internet,) = egress()
    yahoo = of_kind(render(TOGETHER, {"networkPolicy": {"yahoo": True}}), "NetworkPolicy")["demo-marmita-prices"]
    assert [internet] == yahoo["spec"]["egress"]
    assert egress(mlflow)[1:] == [{"ports": [{"port": 5000}]}]
    (peer,) = egress(mlflow, where)[1:]
    assert peer["ports"] == [{"port": 5050}]
    assert peer["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mlflow"}}}]
