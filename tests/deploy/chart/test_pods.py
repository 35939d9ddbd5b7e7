"""What a pod is allowed, how it is probed, and how it goes."""

import pytest
import yaml

from marmita.records.predictions.recorder import SHUTDOWN_S
from marmita.web.shutdown import MAX_IDLE_WAIT_S, NOTICE_S
from tests.deploy.chart.rendering import container, environment, of_kind, only, pod, render
from tests.deploy.chart.values import CHART, EVERYTHING, MODES, TOGETHER, Values, with_


@MODES
def test_every_pod_is_probed_at_the_right_doors(mode: Values) -> None:
    for deployment in of_kind(render(mode), "Deployment").values():
        served = container(deployment)
        (port,) = served["ports"]
        assert port == {"name": "http", "containerPort": 3000}
        assert environment(deployment)["PORT"] == "3000"
        asked = {probe: served[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert asked == {
            "startupProbe": {"path": "/readyz", "port": "http"},
            "readinessProbe": {"path": "/readyz", "port": "http"},
            "livenessProbe": {"path": "/livez", "port": "http"},
        }
        assert served["startupProbe"]["periodSeconds"] * served["startupProbe"]["failureThreshold"] >= 60
        assert served["readinessProbe"]["timeoutSeconds"] > 2  # the front's time limit for its runners
        assert served["livenessProbe"]["periodSeconds"] * served["livenessProbe"]["failureThreshold"] >= 30


@MODES
def test_no_pod_may_do_more_than_it_must(mode: Values) -> None:
    manifests = render(mode)
    account = only(manifests, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    for deployment in of_kind(manifests, "Deployment").values():
        spec, served = pod(deployment), container(deployment)
        assert spec["serviceAccountName"] == account["metadata"]["name"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 1034,
            "runAsGroup": 1034,
            "fsGroup": 1034,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert served["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= served["resources"]["requests"].keys()
        assert "memory" in served["resources"]["limits"]


@MODES
def test_only_tmp_can_be_written_to_and_the_home_lies_there(mode: Values) -> None:
    for deployment in of_kind(render(mode, EVERYTHING), "Deployment").values():
        mounts = {mount["mountPath"]: mount for mount in container(deployment)["volumeMounts"]}
        writable = [path for path, mount in mounts.items() if not mount.get("readOnly")]
        assert writable == ["/tmp"]
        volumes = {volume["name"]: volume for volume in pod(deployment)["volumes"]}
        assert "sizeLimit" in volumes[mounts["/tmp"]["name"]]["emptyDir"]
        assert environment(deployment)["BENTOML_HOME"].startswith("/tmp/")


def test_an_existing_service_account_can_be_used() -> None:
    manifests = render(TOGETHER, {"serviceAccount": {"create": False, "name": "theirs"}})

    assert of_kind(manifests, "ServiceAccount") == {}
    assert pod(only(manifests, "Deployment"))["serviceAccountName"] == "theirs"


@MODES
@pytest.mark.parametrize(
    "seconds",
    [{}, {"preStopSeconds": 25, "bodyTimeoutSeconds": 7, "requestTimeoutSeconds": 120}],
    ids=["default", "changed"],
)
def test_an_update_drops_nothing(mode: Values, seconds: Values) -> None:
    """A new pod comes before an old one goes, and after the hook that one has time to drain."""
    values = with_(yaml.safe_load((CHART / "values.yaml").read_text()), seconds)
    for deployment in of_kind(render(mode, seconds), "Deployment").values():
        strategy = deployment["spec"]["strategy"]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        hook = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert hook == values["preStopSeconds"] >= 5
        longest = values["bodyTimeoutSeconds"] + values["requestTimeoutSeconds"]
        rest = NOTICE_S + MAX_IDLE_WAIT_S + SHUTDOWN_S
        assert pod(deployment)["terminationGracePeriodSeconds"] > hook + longest + rest
        assert environment(deployment)["MARMITA_BODY_TIMEOUT"] == f"{values['bodyTimeoutSeconds']}s"
