"""The Helm chart: linted, rendered in every mode, checked against Kubernetes' own schemas. No cluster is needed."""

import copy
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from marmita.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "chart"
KUBERNETES = ("1.30", kubernetes_validate.latest_version())
"""The oldest that the chart is for, and the newest that can be checked."""

MODELS = ("fetal-health", "stock-forecast", "wine-quality")
ROUTES = {
    "fetal-health": "/fetal-health/classify",
    "stock-forecast": "/stock-forecast/forecast",
    "wine-quality": "/wine-quality/score",
}
NOT_PUBLIC = ("/", "/metrics", "/livez", "/readyz", "/healthz", "/schema.json", "/static_content/index.css", "/modelsx")

Values = dict[str, Any]
Manifest = dict[str, Any]

TOGETHER: Values = {"mode": "together", "image": {"tag": "v1"}}
SEPARATE: Values = {"mode": "separate", "models": {model: {"image": {"tag": f"v1-{model}"}} for model in MODELS}}
MODES = pytest.mark.parametrize("mode", [TOGETHER, SEPARATE], ids=["together", "separate"])

CONFIGURATION = (ROOT / "configuration.yaml").read_text()
EVERYTHING: Values = {
    "imagePullSecrets": [{"name": "registry"}],
    "topology": "split",
    "otlpEndpoint": "http://collector.observability:4318/v1/traces",
    "configuration": CONFIGURATION,
    "extraEnv": [
        {"name": "TZ", "value": "UTC"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "token"}}},
    ],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "models", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}]
            }
        }
    },
    "podAnnotations": {"example.com/team": "models"},
    "serviceAccount": {"annotations": {"example.com/role": "none"}},
    "ingress": {
        "enabled": True,
        "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
        "hosts": ["models.example.com", "models.example.org"],
        "tls": [{"secretName": "models-tls", "hosts": ["models.example.com", "models.example.org"]}],
    },
    "networkPolicy": {"otlp": {"namespace": "observability"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}},
    "autoscaling": {"requestsInProgress": {"enabled": True}},
}


def with_(*parts: Values) -> Values:
    """Values over values, as Helm lays them over each other."""
    merged: Values = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = with_(merged[key], value) if both else copy.deepcopy(value)
    return merged


def files(values: Values, release: str = "demo") -> dict[str, str]:
    with helm.Chart.load(CHART) as chart:
        return chart.render(values, name=release, namespace="models")


def render(*values: Values, release: str = "demo") -> list[Manifest]:
    rendered = files(with_(*values), release)
    texts = [text for name, text in rendered.items() if not name.endswith("NOTES.txt")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


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


# Linted and valid


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


# Values


def mappings(values: Values, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in the values there are keys that could be misspelt: everywhere but where the keys are the user's own."""
    yield path
    for key, value in values.items():
        if isinstance(value, dict) and key not in ("annotations", "podAnnotations", "labels", "nodeSelector"):
            yield from mappings(value, (*path, key))


@pytest.mark.parametrize(
    "path", list(mappings(yaml.safe_load((CHART / "values.yaml").read_text()))), ids=lambda path: ".".join(path) or "-"
)
def test_a_misspelt_key_is_refused(path: tuple[str, ...]) -> None:
    values: Values = {"misspelt": "x"}
    for key in reversed(path):
        values = {key: values}

    with pytest.raises(helm.HelmValuesError, match="'misspelt' not allowed"):
        render(TOGETHER, values)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "both"},
        {"topology": "scattered"},
        {"image": {"tag": 12}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"models": {"wine-qualty": {"image": {"repository": "wine_quality"}}}},
        {"maxBodyBytes": "16m"},
        {"preStopSeconds": 0},
        {"otlpEndpoint": "collector:4318"},
        {"configuration": {"services": {"workers": 2}}},
        {"resources": {"limits": {"memory": "1 GB"}}},
        {"extraEnv": [{"name": "TZ", "vale": "UTC"}]},
        {"extraEnv": [{"name": "TOKEN", "valueFrom": {"secretRef": {"name": "tokens"}}}]},
        {"extraEnvFrom": [{"secret": {"name": "more"}}]},
        {"imagePullSecrets": ["registry"]},
        {"tolerations": [{"key": "dedicated", "efect": "NoSchedule"}]},
        {"topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1}]},
        {"podAnnotations": {"example.com/number": 1}},
        {"ingress": {"hosts": [{"host": "models.example.com"}]}},
        {"ingress": {"tls": [{"secret": "models-tls"}]}},
        {"serviceMonitor": {"interval": 15}},
    ],
    ids=json.dumps,
)
def test_a_wrong_value_is_refused(wrong: Values) -> None:
    with pytest.raises(helm.HelmValuesError):
        render(TOGETHER, wrong)


def test_every_setting_has_its_default_in_the_values() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def same(schema_of: Values, value: Values) -> None:
        assert set(schema_of["properties"]) - {"global"} == set(value)
        for key, nested in schema_of["properties"].items():
            if "properties" in nested and key not in ("models", "affinity"):
                same(nested, value[key])

    same(schema, values)


@pytest.mark.parametrize(
    ("mode", "missing"),
    [({}, "image.tag"), ({"mode": "separate"}, "models.fetal-health.image.tag")],
    ids=["together", "separate"],
)
def test_without_a_version_it_says_what_is_missing(mode: Values, missing: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=f"{missing} is missing: the version of the Bento"):
        render(mode)


def test_the_defaults_are_those_of_the_service() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    settings = Settings.model_construct()
    bentos = {
        bentofile["name"]: file.parent.name
        for file in (ROOT / "bentos").glob("*/bentofile.yaml")
        if (bentofile := yaml.safe_load(file.read_text()))
    }

    assert values["topology"] == settings.topology
    assert values["maxBodyBytes"] == settings.max_body_bytes
    assert values["bodyTimeoutSeconds"] == settings.body_timeout_s
    assert values["requestTimeoutSeconds"] == yaml.safe_load(CONFIGURATION)["services"]["traffic"]["timeout"]
    assert {model.replace("-", "_") for model in values["models"]} == set(bentos.values())
    assert {model["image"]["repository"] for model in values["models"].values()} == set(bentos)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == project["version"]


# Deployments


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
        assert served["readinessProbe"]["timeoutSeconds"] > 2  # what the front door gives its runners
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
    """A new pod comes before an old one goes, and that one has time for its longest request after the hook."""
    values = with_(yaml.safe_load((CHART / "values.yaml").read_text()), seconds)
    for deployment in of_kind(render(mode, seconds), "Deployment").values():
        strategy = deployment["spec"]["strategy"]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        hook = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert hook == values["preStopSeconds"] >= 5
        longest = values["bodyTimeoutSeconds"] + values["requestTimeoutSeconds"]
        assert pod(deployment)["terminationGracePeriodSeconds"] > hook + longest
        assert environment(deployment)["MARMITA_BODY_TIMEOUT_S"] == str(values["bodyTimeoutSeconds"])


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


# What points to what


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


# Scaling


@MODES
def test_each_deployment_is_scaled_by_its_own_processors(mode: Values) -> None:
    manifests = render(mode)
    deployments, scalers = of_kind(manifests, "Deployment"), of_kind(manifests, "HorizontalPodAutoscaler")

    assert scalers.keys() == deployments.keys()
    for name, scaler in scalers.items():
        assert scaler["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert scaler["spec"]["minReplicas"] >= 2
        (metric,) = scaler["spec"]["metrics"]
        assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
        assert "replicas" not in deployments[name]["spec"]


@MODES
def test_requests_in_progress_can_scale_as_well(mode: Values) -> None:
    requests = {"enabled": True, "metric": "requests_by_pod", "target": 8}
    for scaler in of_kind(
        render(mode, {"autoscaling": {"requestsInProgress": requests}}), "HorizontalPodAutoscaler"
    ).values():
        cpu, pods = scaler["spec"]["metrics"]
        assert cpu["type"] == "Resource"
        assert pods == {
            "type": "Pods",
            "pods": {"metric": {"name": "requests_by_pod"}, "target": {"type": "AverageValue", "averageValue": "8"}},
        }


@MODES
def test_without_autoscaling_the_number_of_pods_is_given(mode: Values) -> None:
    manifests = render(mode, {"autoscaling": {"enabled": False}, "replicas": 4})

    assert of_kind(manifests, "HorizontalPodAutoscaler") == {}
    assert [d["spec"]["replicas"] for d in of_kind(manifests, "Deployment").values()] == [4] * len(
        of_kind(manifests, "Deployment")
    )


@MODES
def test_a_drained_node_takes_one_pod_at_a_time(mode: Values) -> None:
    for budget in of_kind(render(mode), "PodDisruptionBudget").values():
        assert budget["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in budget["spec"]


# Who can reach it


def backend(ingress: Manifest, path: str) -> str | None:
    """The service that answers for a path: an exact rule first, then the longest prefix, whole segments only."""
    (rule, *_) = ingress["spec"]["rules"]
    found: list[tuple[bool, int, str]] = []
    for one in rule["http"]["paths"]:
        exact = one["pathType"] == "Exact"
        if path == one["path"] or (not exact and path.startswith(f"{one['path']}/")):
            found.append((exact, len(one["path"]), one["backend"]["service"]["name"]))
    return max(found)[2] if found else None


def test_together_the_public_routes_are_reached_and_nothing_else() -> None:
    ingress = only(render(TOGETHER, {"ingress": {"enabled": True}}), "Ingress")

    public = (*ROUTES.values(), "/models", "/models/wine_quality", "/docs.json")
    assert {path: backend(ingress, path) for path in public} == dict.fromkeys(public, "demo-marmita")
    assert {path: backend(ingress, path) for path in NOT_PUBLIC} == dict.fromkeys(NOT_PUBLIC)


def test_separate_each_route_leads_to_its_model_and_nothing_else_is_reached() -> None:
    ingress = only(render(SEPARATE, {"ingress": {"enabled": True}}), "Ingress")

    for model, route in ROUTES.items():
        assert backend(ingress, route) == f"demo-marmita-{model}"
        assert backend(ingress, f"/models/{model.replace('-', '_')}") == f"demo-marmita-{model}"
    hidden = (*NOT_PUBLIC, "/models", "/docs.json")
    assert {path: backend(ingress, path) for path in hidden} == dict.fromkeys(hidden)


@MODES
def test_the_ingress_leads_to_services_and_ports_that_are_there_on_every_host(mode: Values) -> None:
    manifests = render(mode, EVERYTHING)
    ingress = only(manifests, "Ingress")

    ports = {
        name: {port["name"] for port in service["spec"]["ports"]}
        for name, service in of_kind(manifests, "Service").items()
    }
    rules = ingress["spec"]["rules"]
    assert [rule["host"] for rule in rules] == EVERYTHING["ingress"]["hosts"]
    assert rules[0]["http"] == rules[1]["http"]
    backends = [path["backend"]["service"] for path in rules[0]["http"]["paths"]]
    assert {service["name"] for service in backends} == ports.keys()
    assert all(service["port"]["name"] in ports[service["name"]] for service in backends)
    assert ingress["spec"]["tls"] == EVERYTHING["ingress"]["tls"]


def test_the_ingress_s_class_can_be_the_cluster_s_default() -> None:
    named = only(render(TOGETHER, {"ingress": {"enabled": True}}), "Ingress")
    default = only(render(TOGETHER, {"ingress": {"enabled": True, "className": ""}}), "Ingress")

    assert named["spec"]["ingressClassName"] == "nginx"
    assert "ingressClassName" not in default["spec"]


@pytest.mark.parametrize("size", [16 * 1024 * 1024, 1_000_000])
def test_nginx_lets_through_what_the_service_takes(size: int) -> None:
    manifests = render(TOGETHER, {"ingress": {"enabled": True}, "maxBodyBytes": size})

    annotation = only(manifests, "Ingress")["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert annotation == environment(only(manifests, "Deployment"))["MARMITA_MAX_BODY_BYTES"] == str(size)


def test_the_user_s_annotation_counts_over_ours() -> None:
    own = {"nginx.ingress.kubernetes.io/proxy-body-size": "1m"}
    ingress = only(render(TOGETHER, {"ingress": {"enabled": True, "annotations": own}}), "Ingress")

    assert ingress["metadata"]["annotations"] == own


@MODES
def test_only_the_ingress_controller_and_prometheus_may_call_the_pods(mode: Values) -> None:
    manifests = render(mode)
    policy = only(manifests, "NetworkPolicy")["spec"]

    assert selected(policy["podSelector"]["matchLabels"], manifests) == list(of_kind(manifests, "Deployment"))
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    (namespaces,) = peer["namespaceSelector"]["matchExpressions"]
    assert peer.keys() == {"namespaceSelector"}
    assert namespaces == {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["ingress-nginx", "monitoring"],
    }
    assert rule["ports"] == [{"port": "http"}]


def test_with_no_client_named_nobody_may_call() -> None:
    policy = only(render(TOGETHER, {"networkPolicy": {"clientNamespaces": []}}), "NetworkPolicy")

    assert policy["spec"]["ingress"] == []


def test_the_pods_may_call_the_name_server_and_the_collector_only() -> None:
    def egress(**more: Any) -> Any:
        return only(render(TOGETHER, more), "NetworkPolicy")["spec"]["egress"]

    def namespace(name: str) -> list[Manifest]:
        return [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]

    dns = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert egress() == [{"ports": dns, "to": namespace("kube-system")}]
    assert egress(networkPolicy={"dnsNamespace": ""}) == [{"ports": dns}]
    collector = {"namespace": "observability", "port": 14318}
    assert egress(otlpEndpoint="http://collector:4318/v1/traces", networkPolicy={"otlp": collector})[1:] == [
        {"ports": [{"port": 14318}], "to": namespace("observability")}
    ]
    assert egress(otlpEndpoint="http://collector:4318/v1/traces")[1:] == [{"ports": [{"port": 4318}]}]


@MODES
def test_prometheus_finds_every_service(mode: Values) -> None:
    manifests = render(mode, {"serviceMonitor": {"enabled": True, "interval": "5s", "labels": {"release": "prom"}}})
    monitor = only(manifests, "ServiceMonitor")

    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prom"
    spec = monitor["spec"]
    assert spec.keys() == {"selector", "endpoints"}
    (endpoint,) = spec["endpoints"]
    assert endpoint.pop("relabelings") == [{"targetLabel": "job", "replacement": "marmita"}]
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "5s", "honorLabels": True}
    assert spec["selector"].keys() == {"matchLabels"}
    for service in of_kind(manifests, "Service").values():
        assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]


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
