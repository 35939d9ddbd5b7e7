"""Rules, alerts, dashboards and runbooks: checked by Prometheus's own tools, and run against the real service."""

import itertools
import json
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.conftest import DEPLOY, program, read_yaml, run, running
from tests.e2e.server import ROOT, Server, free_port
from tests.samples import CLASSIFY, FORECAST, REQUESTS, SCORE, exams, wines

PROMETHEUS = DEPLOY / "prometheus"
GRAFANA = DEPLOY / "grafana"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
INFER = "/v2/models/wine_quality/infer"

RULES = [
    rule
    for file in sorted((PROMETHEUS / "rules").glob("*.yaml"))
    for group in read_yaml(file)["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
RULE_TESTS = sorted((PROMETHEUS / "tests").glob("*.yaml"))
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
PANELS = [(board, panel) for board, content in DASHBOARDS.items() for panel in content["panels"]]

SELECTOR = re.compile(r"(?<![\w:])(?:[a-z_]+:)?(?:(?:marmita|bentoml_service)_[\w:]+|up\b)(?:\{[^}]*\})?")
"""A metric of this project in an expression, with its labels."""


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression that must find something, with the place where it stands."""
    for name, expression in RECORDED.items():
        yield name, expression
    for name, alert in ALERTS.items():  # an alert finds nothing as long as all is well: its metrics must be there
        for selector in SELECTOR.findall(alert["expr"]):
            yield name, selector
    for board, panel in PANELS:
        for target in panel["targets"]:
            yield f"{board}: {panel['title']}", target["expr"]


def filled_in(expression: str) -> str:
    """An expression as Grafana would send it."""
    filled = expression.replace("$__rate_interval", "1m").replace("$model", ".+")
    assert "$__" not in filled
    return filled


@dataclass(frozen=True)
class Watching:
    """A Prometheus that scrapes the real service, and its Alertmanager."""

    prometheus: str
    alertmanager: str

    def ask(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.prometheus}/api/v1/{path}", params=parameters, timeout=20)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.ask("query", query=filled_in(expression))["result"]
        return result

    def values(self, expression: str, label: str) -> dict[str, float]:
        return {one["metric"].get(label, ""): float(one["value"][1]) for one in self.query(expression)}

    def finds_a_number(self, expression: str) -> bool:
        return any(math.isfinite(float(one["value"][1])) for one in self.query(expression))


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Alertmanager with the project's configuration."""
    binary = program("Alertmanager", "prometheus-alertmanager", "alertmanager")
    folder, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        binary,
        f"--config.file={ALERTMANAGER}",
        f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, f"{url}/-/ready", folder / "log"):
        yield url


@pytest.fixture(scope="module", params=["colocated", "split"])
def watching(
    request: pytest.FixtureRequest, alertmanager: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watching]:
    """A real Prometheus with the project's configuration, but for addresses and a quicker pace, after some traffic."""
    binary = program("Prometheus", "prometheus")
    server: Server = request.getfixturevalue(request.param)
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [server.url.removeprefix("http://")]}]
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{port}"
    command = [
        binary,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, f"{url}/-/ready", folder / "log"):
        watching = Watching(url, alertmanager)
        send_traffic(server)
        assert within(30, lambda: watching.finds_a_number('marmita_rows_total and on (job) up{job="marmita"} == 1'))
        for _ in range(3):  # a rate needs a counter that was seen before and has grown since
            send_traffic(server)
            time.sleep(1)
        yield watching


def send_traffic(server: Server) -> None:
    """Good requests to each route, some in tensors, unusual inputs to the models that look for them, and a mistake."""
    for route, request in REQUESTS.items():
        for count in (1, 5):
            assert httpx.post(f"{server.url}{route}", json=request(count), timeout=30).status_code == 200
    row = list(wines(1)["wines"][0].values())
    tensors = {"inputs": [{"name": "features", "shape": [1, 11], "datatype": "FP32", "data": row}]}
    assert httpx.post(f"{server.url}{INFER}", json=tensors, timeout=30).status_code == 200
    assert httpx.get(f"{server.url}/v2/health/ready", timeout=30).status_code == 200
    strange_wines, strange_exams = wines(1), exams(1)
    strange_wines["wines"][0]["alcohol"] = 90.0
    strange_exams["exams"][0]["histogram_width"] = 250
    for route, strange in ((SCORE, strange_wines), (CLASSIFY, strange_exams)):
        (answer,) = httpx.post(f"{server.url}{route}", json=strange, timeout=30).json()
        assert answer["unusual"]
    assert httpx.post(f"{server.url}{SCORE}", json={"wines": []}, timeout=30).status_code == 400


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in this time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.25)
    return True


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    promtool = program("Prometheus", "promtool")

    assert "2 rule files found" in run(promtool, "check", "config", "prometheus.yml", cwd=PROMETHEUS)
    for file in (PROMETHEUS / "rules").iterdir():
        run(promtool, "check", "rules", str(file))


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_rules_do_what_their_tests_say(file: Path) -> None:
    run(program("Prometheus", "promtool"), "test", "rules", file.name, cwd=file.parent)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_tested_both_ways(name: str) -> None:
    expected = [
        bool(case["exp_alerts"])
        for file in RULE_TESTS
        for test in read_yaml(file)["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == name
    ]

    assert True in expected, "no test says when it fires"
    assert False in expected, "no test says when it is silent"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_is_wrong_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]

    assert alert["for"]
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["annotations"]["runbook"] == f"docs/runbooks/{name}.md"
    page = (ROOT / alert["annotations"]["runbook"]).read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["What it means", "How to see", "What to do"]


def test_every_runbook_has_its_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("Marmita*.md")} == set(ALERTS)


def test_saturation_is_measured_against_the_limit_in_force() -> None:
    limit = read_yaml(ROOT / "configuration.yaml")["services"]["traffic"]["max_concurrency"]

    assert RECORDED["instance:marmita_requests_in_progress:ratio"].endswith(f" / {limit}")
    said = [panel["description"] for _, panel in PANELS if panel["title"] == "Fullest instance"]
    assert f" {limit} " in said[0]


def test_alertmanager_takes_the_configuration() -> None:
    said = run(program("Alertmanager", "amtool"), "check-config", str(ALERTMANAGER))

    assert "3 inhibit rules" in said


def test_the_configuration_of_alertmanager_holds_no_secret() -> None:
    for receiver in read_yaml(ALERTMANAGER)["receivers"]:
        assert set(receiver) == {"name"}


def test_critical_alerts_take_the_short_way() -> None:
    amtool = program("Alertmanager", "amtool")

    def receiver(severity: str) -> str:
        labels = ("job=marmita", "alertname=MarmitaErrors", f"severity={severity}")
        return run(amtool, "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).split()[0]

    assert [receiver(severity) for severity in ("critical", "warning", "info")] == ["now", "later", "later"]


def test_an_alert_that_follows_from_another_is_silenced(alertmanager: str) -> None:
    a, b = {"job": "one"}, {"job": "two"}
    down, instance = {"alertname": "MarmitaDown"}, {"instance": "x:3000"}
    posted: list[tuple[dict[str, str], bool]] = [
        (a | down, False),
        (a | {"alertname": "MarmitaErrors", "endpoint": SCORE}, True),
        (a | {"alertname": "MarmitaTargetDown"} | instance, True),
        (a | {"alertname": "AnotherTeams"}, False),
        (b | {"alertname": "MarmitaTargetDown"} | instance, False),
        (b | {"alertname": "MarmitaSaturated"} | instance, True),
        (b | {"alertname": "MarmitaSaturated", "instance": "y:3000"}, False),
        (b | {"alertname": "MarmitaErrors", "endpoint": SCORE}, False),
        (b | {"alertname": "MarmitaSlow", "endpoint": SCORE}, True),
        (b | {"alertname": "MarmitaSlow", "endpoint": CLASSIFY}, False),
    ]
    api = f"{alertmanager}/api/v2/alerts"
    assert httpx.post(api, json=[{"labels": labels} for labels, _ in posted]).status_code == 200

    def silenced() -> list[bool | None]:
        found = {
            json.dumps(one["labels"], sort_keys=True): one["status"]["state"] == "suppressed"
            for one in httpx.get(api).json()
        }
        return [found.get(json.dumps(labels, sort_keys=True)) for labels, _ in posted]

    expected = [follows for _, follows in posted]
    assert within(60, lambda: silenced() == expected), silenced()


def test_every_expression_of_rules_and_dashboards_finds_series(watching: Watching) -> None:
    asked = list(expressions())
    assert {place for place, _ in asked} >= set(RECORDED) | set(ALERTS)

    def silent() -> list[tuple[str, str]]:
        return [(place, expression) for place, expression in asked if not watching.finds_a_number(expression)]

    assert within(30, lambda: not silent()), silent()


def test_every_rule_is_evaluated_without_an_error(watching: Watching) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in watching.ask("rules")["groups"] for rule in group["rules"]]

    assert within(30, lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert {rule["name"] for rule in rules()} == set(ALERTS) | set(RECORDED)
    assert [rule["name"] for rule in rules() if rule["health"] != "ok"] == []


def test_rules_count_what_was_asked(watching: Watching) -> None:
    def counted() -> dict[str, float]:
        return watching.values("endpoint:marmita_requests:rate5m > 0", "endpoint")

    assert within(30, lambda: set(counted()) == {CLASSIFY, SCORE, FORECAST, INFER}), counted()
    models = {
        one["metric"]["endpoint"]: one["metric"]["model"]
        for one in watching.query("endpoint:marmita_requests:rate5m > 0")
    }
    assert models == {
        CLASSIFY: "fetal_health",
        SCORE: "wine_quality",
        FORECAST: "stock_forecast",
        INFER: "wine_quality",
    }
    assert set(watching.values("endpoint:marmita_errors:ratio5m", "endpoint").values()) == {0}
    assert watching.values("endpoint_code:marmita_requests:rate5m", "http_response_code")["400"] > 0
    unusual = watching.values("model:marmita_unusual_inputs_per_row:ratio1h", "model")
    assert unusual["wine_quality"] > 0.05
    assert unusual["fetal_health"] > 0.05
    assert unusual["stock_forecast"] == 0
    assert 0 < watching.values("endpoint:marmita_request_duration_seconds:p99_5m", "endpoint")[FORECAST] < 30


def test_a_request_that_passes_two_services_counts_once(watching: Watching) -> None:
    front = 'bentoml_service_request_total{runner_name="Marmita", endpoint=~"/.+/.+"}'
    share = f"endpoint:marmita_requests:rate5m / on (endpoint) sum by (endpoint) (rate({front}[5m]))"

    def shares() -> dict[str, float]:
        return watching.values(share, "endpoint")

    assert within(
        30, lambda: shares() == pytest.approx(dict.fromkeys((CLASSIFY, SCORE, FORECAST, INFER), 1), rel=0.2)
    ), shares()


def test_prometheus_reaches_its_alertmanager(watching: Watching) -> None:
    def reached() -> list[str]:
        return [one["url"] for one in watching.ask("alertmanagers")["activeAlertmanagers"]]

    assert within(30, lambda: reached() == [f"{watching.alertmanager}/api/v2/alerts"]), reached()


def test_the_query_by_which_a_cluster_scales_finds_the_requests_in_progress(watching: Watching) -> None:
    (rule,) = read_yaml(PROMETHEUS / "adapter.yaml")["rules"]["custom"]
    query = rule["metricsQuery"].replace("<<.Series>>", rule["seriesQuery"].partition("{")[0])
    query = query.replace("<<.LabelMatchers>>", 'job="marmita"').replace("<<.GroupBy>>", "instance")

    assert len(watching.query(query)) == 1
    assert watching.finds_a_number(query)


def test_queries_of_the_runbooks_are_understood(watching: Watching) -> None:
    for page in RUNBOOKS.glob("*.md"):
        blocks = re.findall(r"```promql\n(.+?)```", page.read_text(), re.DOTALL)
        assert blocks, f"{page.name} shows no query"
        for block in blocks:
            for query in block.strip().splitlines():
                watching.query(query)


def test_grafana_is_given_the_data_source_that_the_dashboards_ask() -> None:
    sources = read_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    uids = {source["uid"]: source["type"] for source in sources}

    for _, panel in PANELS:
        for asked in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
            assert uids[asked["uid"]] == asked["type"]
    for board in DASHBOARDS.values():
        for variable in board["templating"]["list"]:
            assert uids[variable["datasource"]["uid"]] == variable["datasource"]["type"]


@pytest.mark.parametrize("board", DASHBOARDS)
def test_a_dashboard_is_whole(board: str) -> None:
    content = DASHBOARDS[board]

    assert content["uid"] == f"marmita-{board}"
    assert content["title"]
    assert content["schemaVersion"] >= 39
    assert "id" not in content, "Grafana gives the number"
    ids = [panel["id"] for panel in content["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in content["templating"]["list"]}
    used = {name for panel in content["panels"] for t in panel["targets"] for name in re.findall(r"\$(\w+)", t["expr"])}
    assert used - {"__rate_interval"} == variables


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=[f"{board}: {panel['title']}" for board, panel in PANELS])
def test_a_panel_is_whole(board: str, panel: dict[str, Any]) -> None:
    assert panel["type"] in {"stat", "table", "timeseries"}
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["options"]
    names = [target["refId"] for target in panel["targets"]]
    assert names
    assert len(set(names)) == len(names)
    for target in panel["targets"]:
        assert target["legendFormat"] or panel["type"] == "table"


@pytest.mark.parametrize("board", DASHBOARDS)
def test_panels_do_not_lie_on_each_other(board: str) -> None:
    places = [panel["gridPos"] for panel in DASHBOARDS[board]["panels"]]

    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in itertools.combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
