"""Who may call the pods, whom they may call, and how Prometheus finds them."""

from ipaddress import ip_address, ip_network
from typing import Any

from tests.deploy.chart.rendering import Manifest, of_kind, only, render, selected
from tests.deploy.chart.values import MODELS, MODES, SEPARATE, TOGETHER, WITH_PRICES, Values


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


def egress(**more: Any) -> Any:
    return only(render(TOGETHER, more), "NetworkPolicy")["spec"]["egress"]


def namespace(name: str) -> list[Manifest]:
    return [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]


def test_the_pods_may_call_the_name_server_and_the_collector_only() -> None:
    dns = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    assert egress() == [{"ports": dns, "to": namespace("kube-system")}]
    assert egress(networkPolicy={"dnsNamespace": ""}) == [{"ports": dns}]
    collector = {"namespace": "observability", "port": 14318}
    assert egress(otlpEndpoint="http://collector:4318/v1/traces", networkPolicy={"otlp": collector})[1:] == [
        {"ports": [{"port": 14318}], "to": namespace("observability")}
    ]
    assert egress(otlpEndpoint="http://collector:4318/v1/traces")[1:] == [{"ports": [{"port": 4318}]}]


def test_the_pods_may_call_the_database_if_there_is_one() -> None:
    database = {"existingSecret": "records"}

    assert egress(database=database)[1:] == [{"ports": [{"port": 5432}]}]
    assert egress(database=database, networkPolicy={"database": {"namespace": "databases", "port": 6432}})[1:] == [
        {"ports": [{"port": 6432}], "to": namespace("databases")}
    ]


@MODES
def test_only_pods_whose_models_need_prices_may_fetch_them_and_only_from_public_addresses(mode: Values) -> None:
    name = "demo-marmita-prices"
    assert name not in of_kind(render(mode), "NetworkPolicy")

    manifests = render(mode, {"networkPolicy": {"yahoo": True}})
    policy = of_kind(manifests, "NetworkPolicy")[name]["spec"]

    expected = ["demo-marmita"] if mode is TOGETHER else [f"demo-marmita-{model}" for model in WITH_PRICES]
    assert _meant(policy, manifests) == expected
    assert policy["policyTypes"] == ["Egress"]
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]
    for address in ("10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "::1", "fd00::1"):
        assert not any(_holds(peer["ipBlock"], address) for peer in rule["to"]), address
    for address in ("203.0.113.7", "2001:db8::7"):
        assert any(_holds(peer["ipBlock"], address) for peer in rule["to"]), address


def test_which_models_need_prices_their_values_say() -> None:
    yahoo: Values = {"networkPolicy": {"yahoo": True}}
    without: Values = {"models": {model: {"prices": False} for model in MODELS}}
    others = [model for model in MODELS if model not in WITH_PRICES]
    manifests = render(SEPARATE, yahoo, without, {"models": {model: {"prices": True} for model in others}})

    policy = of_kind(manifests, "NetworkPolicy")["demo-marmita-prices"]["spec"]
    assert _meant(policy, manifests) == [f"demo-marmita-{model}" for model in others]
    assert set(of_kind(render(TOGETHER, yahoo, without), "NetworkPolicy")) == {"demo-marmita"}


def _meant(policy: Manifest, manifests: list[Manifest]) -> list[str]:
    """The deployments that a policy with an expression is about."""
    (expression,) = policy["podSelector"]["matchExpressions"]
    assert expression["operator"] == "In"
    deployments = of_kind(manifests, "Deployment")
    return [
        one
        for one in selected(policy["podSelector"]["matchLabels"], manifests)
        if deployments[one]["spec"]["template"]["metadata"]["labels"][expression["key"]] in expression["values"]
    ]


def _holds(block: dict[str, Any], address: str) -> bool:
    ip = ip_address(address)
    return ip in ip_network(block["cidr"]) and not any(ip in ip_network(hole) for hole in block["except"])


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
