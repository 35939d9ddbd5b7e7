"""What is public, and who answers for it."""

import re

import helm_python as helm
import pytest

from tests.deploy.chart.ingress import backend
from tests.deploy.chart.rendering import environment, files, of_kind, only, render, valid
from tests.deploy.chart.values import EVERYTHING, MODELS, MODES, NAMES, ONE, OTHER, ROUTES, SEPARATE, TOGETHER, Values
from tests.messages import mentions

RECORDS = ("/labels", f"/quality/{NAMES[ONE]}", "/prices", "/prices/load")
PROBES = ("/metrics", "/livez", "/readyz", "/healthz")
NOT_PUBLIC = (*PROBES, *RECORDS, "/", "/schema.json", "/static_content/index.css", "/modelsx")
OF_ALL = ("/models", "/docs.json", "/v2", "/v2/health/live", "/v2/health/ready")
"""What only one who knows all models can answer."""

WITH_RECORDS: Values = {"ingress": {"enabled": True, "records": True}, "apiKeys": {"existingSecret": "callers"}}
OWN = f"{ONE}.models.example.com"
OWN_HOST: Values = {
    "ingress": {"enabled": True, "hosts": ["models.example.com"]},
    "models": {ONE: {"host": OWN}},
}


def named(model: str) -> list[str]:
    """The paths that name a model."""
    name = NAMES[model]
    protocol = ("", "/ready", "/infer", "/versions/a1/infer")
    return [*ROUTES[model], f"/models/{name}", *(f"/v2/models/{name}{end}" for end in protocol)]


def test_together_the_public_routes_are_reached_and_nothing_else() -> None:
    ingress = only(render(TOGETHER, {"ingress": {"enabled": True}}), "Ingress")

    public = (*OF_ALL, *(path for model in MODELS for path in named(model)))
    assert {path: backend(ingress, path) for path in public} == dict.fromkeys(public, "demo-marmita")
    assert {path: backend(ingress, path) for path in NOT_PUBLIC} == dict.fromkeys(NOT_PUBLIC)


def test_separate_each_route_leads_to_its_model_and_nothing_else_is_reached() -> None:
    ingress = only(render(SEPARATE, {"ingress": {"enabled": True}}), "Ingress")

    for model in MODELS:
        assert {backend(ingress, path) for path in named(model)} == {f"demo-marmita-{model}"}
    others = (f"/{ONE}", f"/v2/models/{NAMES[ONE]}_2/infer", f"/v2/models/{ONE}/infer")
    hidden = (*NOT_PUBLIC, *OF_ALL, "/v2/models", *others)
    assert {path: backend(ingress, path) for path in hidden} == dict.fromkeys(hidden)


def test_separate_a_model_with_a_host_of_its_own_answers_there_for_itself_alone() -> None:
    manifests = render(SEPARATE, OWN_HOST)
    ingress = only(manifests, "Ingress")

    valid(manifests)
    public = (*OF_ALL, *named(ONE))
    assert {path: backend(ingress, path, OWN) for path in public} == dict.fromkeys(public, f"demo-marmita-{ONE}")
    of_others = [path for model in MODELS if model != ONE for path in ROUTES[model]]
    assert {backend(ingress, hidden, OWN) for hidden in (*NOT_PUBLIC, *of_others)} == {None}


def test_a_host_of_its_own_changes_nothing_for_the_others() -> None:
    without = only(render(SEPARATE, {"ingress": OWN_HOST["ingress"]}), "Ingress")
    with_one = only(render(SEPARATE, OWN_HOST), "Ingress")
    together = only(render(TOGETHER, OWN_HOST), "Ingress")

    assert with_one["spec"]["rules"][:-1] == without["spec"]["rules"]
    assert [rule["host"] for rule in together["spec"]["rules"]] == ["models.example.com"]


@pytest.mark.parametrize(
    "others",
    [
        {"ingress": {"hosts": [OWN]}},
        {"models": {OTHER: {"host": OWN}}},
    ],
    ids=["of all", "of another"],
)
def test_a_host_of_its_own_is_nobody_else_s(others: Values) -> None:
    with pytest.raises(helm.HelmRenderError, match=rf"models\.({ONE}|{OTHER})\.host: {re.escape(OWN)} "):
        render(SEPARATE, OWN_HOST, others)


def test_together_records_are_public_if_it_is_said() -> None:
    ingress = only(render(TOGETHER, WITH_RECORDS), "Ingress")

    assert {path: backend(ingress, path) for path in RECORDS} == dict.fromkeys(RECORDS, "demo-marmita")
    assert {backend(ingress, path) for path in (*PROBES, "/labels/all")} == {None}


def test_separate_records_of_one_model_are_public_and_labels_and_prices_on_its_own_host() -> None:
    manifests = render(SEPARATE, OWN_HOST, WITH_RECORDS)
    ingress = only(manifests, "Ingress")

    valid(manifests)
    assert {backend(ingress, path, OWN) for path in RECORDS} == {f"demo-marmita-{ONE}"}
    for model in MODELS:
        assert backend(ingress, f"/quality/{NAMES[model]}") == f"demo-marmita-{model}"
    assert {backend(ingress, path) for path in ("/labels", "/prices", "/prices/load", "/quality")} == {None}


@MODES
def test_records_are_not_public_without_keys(mode: Values) -> None:
    with pytest.raises(helm.HelmRenderError, match=r"ingress\.records .*apiKeys\.existingSecret"):
        render(mode, WITH_RECORDS, {"apiKeys": {"existingSecret": ""}})


def test_the_notes_name_the_routes_that_no_deployment_answers_for_all() -> None:
    def says(mode: Values) -> bool:
        lines = files(mode, OWN_HOST)["marmita/templates/NOTES.txt"].splitlines()
        return any(mentions(line, "/models", "/docs.json", "/v2", "/v2/health") for line in lines)

    assert says(SEPARATE)
    assert not says(TOGETHER)


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
