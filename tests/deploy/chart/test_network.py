"""Who may call the pods, whom they may call, and how Prometheus finds them."""

from typing import Any

from tests.deploy.chart.rendering import Manifest, of_kind, only, render, selected
from tests.deploy.chart.values import MODES, TOGETHER, Values


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
