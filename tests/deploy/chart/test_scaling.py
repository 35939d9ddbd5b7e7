"""How many pods there are, and how few there may be."""

from pathlib import Path
from typing import Any

import yaml

from tests.deploy.chart.rendering import of_kind, render
from tests.deploy.chart.values import CHART, MODES, Values
from tests.deploy.conftest import DEPLOY, program, read_yaml, run


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


def test_the_adapter_gives_the_metric_that_the_chart_asks_for() -> None:
    (rule,) = read_yaml(DEPLOY / "prometheus" / "adapter.yaml")["rules"]["custom"]
    metric = read_yaml(CHART / "values.yaml")["autoscaling"]["requestsInProgress"]["metric"]

    assert rule["seriesQuery"].startswith(f"{metric}{{")
    assert rule["resources"]["overrides"] == {label: {"resource": label} for label in ("namespace", "pod")}


def test_the_adapter_counts_a_request_once_in_both_topologies_and_modes(tmp_path: Path) -> None:
    """The query as the adapter fills it in, on the series of three pods."""
    (rule,) = read_yaml(DEPLOY / "prometheus" / "adapter.yaml")["rules"]["custom"]
    metric, _, _ = rule["seriesQuery"].partition("{")
    query = rule["metricsQuery"].replace("<<.Series>>", metric).replace("<<.GroupBy>>", "pod")
    query = query.replace("<<.LabelMatchers>>", 'namespace="models",pod=~"split|colocated|alone"')
    assert "<<" not in query

    def series(pod: str, runner: str, endpoint: str, value: int, namespace: str = "models") -> dict[str, str]:
        labels = f'namespace="{namespace}", pod="{pod}", runner_name="{runner}", endpoint="{endpoint}"'
        return {"series": f"{metric}{{{labels}}}", "values": str(value)}

    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [
            series("split", "Marmita", "/wine-quality/score", 30),
            series("split", "Marmita", "/fetal-health/classify", 10),
            series("split", "WineQuality", "/wine-quality/score", 29),
            series("split", "FetalHealth", "/fetal-health/classify", 10),
            series("colocated", "Marmita", "/wine-quality/score", 8),
            series("alone", "WineQuality", "/wine-quality/score", 5),
            series("alone", "WineQuality", "/wine-quality/score", 100, namespace="elsewhere"),
        ],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "0m",
                "exp_samples": [
                    {"labels": f'{{pod="{pod}"}}', "value": value}
                    for pod, value in (("split", 40), ("colocated", 8), ("alone", 5))
                ],
            }
        ],
    }
    (tmp_path / "adapter.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    run(program("Prometheus", "promtool"), "test", "rules", "adapter.yaml", cwd=tmp_path)
