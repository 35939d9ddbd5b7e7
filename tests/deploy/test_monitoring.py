"""Rules, alerts and runbooks: checked by Prometheus's own tools, and run against the real service."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from marmita import discovery
from marmita.cli.chart import component
from marmita.records.database.database import Database, default_url
from marmita.records.operations import decisions
from marmita.records.operations.decisions import LEAVE
from marmita.registry.packed_model import PackedModel
from tests.deploy.chart.values import CHART
from tests.deploy.conftest import program, read_yaml, run, running
from tests.deploy.monitoring import (
    ALERTMANAGER,
    ALERTS,
    GRAFANA,
    PANELS,
    PROMETHEUS,
    RECORDED,
    RULE_TESTS,
    RUNBOOKS,
    expressions,
)
from tests.deploy.watching import LABELS, MODEL_OF, Watching, label_predictions, send_traffic, within
from tests.e2e.server import ROOT, Server, free_port, home, serve
from tests.samples import CLASSIFY, FORECAST, INFER, REQUESTS, SCORE

LOAD = "/prices/load"
RECORDS = (LABELS, LOAD)


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
def recording(
    request: pytest.FixtureRequest, champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """All models, in each topology, with every prediction kept and measured at once."""
    folder = home(tmp_path_factory.mktemp("recording") / "home")
    with serve(folder, MARMITA_TOPOLOGY=request.param, MARMITA_RECORD="all", MARMITA_QUALITY_INTERVAL="1s") as server:
        database = Database(default_url(folder))
        decisions.begin(database, "wine_quality", LEAVE, [], {})  # a shepherd was at work, for a moment
        database.close()
        yield server


@pytest.fixture(scope="module")
def watching(recording: Server, alertmanager: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    """A real Prometheus with the project's configuration, but for addresses and a quicker pace, after some traffic."""
    binary = program("Prometheus", "prometheus")
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [recording.url.removeprefix("http://")]}]
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
        send_traffic(recording)
        assert within(30, lambda: watching.finds_a_number('marmita_rows_total and on (job) up{job="marmita"} == 1'))
        for _ in range(3):  # a rate needs a counter that was seen before and has grown since
            send_traffic(recording)
            label_predictions(recording)
            assert httpx.post(f"{recording.url}{LOAD}", json={}, timeout=30).status_code == 400
            time.sleep(1)
        yield watching


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


def test_no_rule_dashboard_or_template_names_a_model() -> None:
    """They hold for a model that comes later as well."""
    files = [*(PROMETHEUS / "rules").iterdir(), *(GRAFANA / "dashboards").iterdir(), *(CHART / "templates").iterdir()]
    for file in [*files, CHART / "values.schema.json", ALERTMANAGER, PROMETHEUS / "adapter.yaml"]:
        text = file.read_text()
        for name in discovery.names():
            assert name not in text, file
            assert component(name) not in text, file


def test_every_runbook_has_its_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("Marmita*.md")} == set(ALERTS)


def test_saturation_is_measured_against_the_limit_in_force() -> None:
    limit = read_yaml(ROOT / "configuration.yaml")["services"]["traffic"]["max_concurrency"]

    assert RECORDED["instance:marmita_requests_in_progress:ratio"].endswith(f" / {limit}")
    said = [panel["description"] for _, panel in PANELS if panel["title"] == "Fullest instance"]
    assert f" {limit} " in said[0]


def test_alertmanager_takes_the_configuration() -> None:
    said = run(program("Alertmanager", "amtool"), "check-config", str(ALERTMANAGER))

    assert "4 inhibit rules" in said


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
        (b | {"alertname": "MarmitaDatabaseDown"} | instance, False),
        (b | {"alertname": "MarmitaQualityStale", "model": "wine_quality"}, True),
        (b | {"alertname": "MarmitaShepherdSilent"}, True),
        (b | {"alertname": "MarmitaRecordsDropped", "reason": "full"}, False),
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

    assert within(30, lambda: set(counted()) == {*REQUESTS, INFER, *RECORDS}), counted()
    models = {
        one["metric"]["endpoint"]: one["metric"].get("model")
        for one in watching.query("endpoint:marmita_requests:rate5m > 0")
    }
    of_records = dict.fromkeys(RECORDS)
    assert models == {route: MODEL_OF[route] for route in REQUESTS} | {INFER: MODEL_OF[SCORE]} | of_records
    assert set(watching.values("endpoint:marmita_errors:ratio5m", "endpoint").values()) == {0}
    refused = watching.values('endpoint_code:marmita_requests:rate5m{http_response_code="400"}', "endpoint")
    assert refused[SCORE] > 0
    unusual = watching.values("model:marmita_unusual_inputs_per_row:ratio1h", "model")
    assert unusual["wine_quality"] > 0
    assert unusual["fetal_health"] > 0
    assert unusual["stock_forecast"] == 0
    assert 0 < watching.values("endpoint:marmita_request_duration_seconds:p99_5m", "endpoint")[FORECAST] < 30


def test_what_is_kept_is_measured_for_each_model(watching: Watching) -> None:
    models = {MODEL_OF[route] for route in REQUESTS}

    assert within(30, lambda: set(watching.values("model:marmita_quality_labelled:ratio > 0", "model")) == models)
    assert set(watching.values("model:marmita_quality_error_ratio:max > 0", "model")) == models
    assert set(watching.values("model_feature:marmita_drift_alarm:max", "model")) == models
    assert all(0 <= age < 30 for age in watching.values("model:marmita_quality_age_seconds:min", "model").values())
    assert watching.values("job:marmita_recorded_rows:rate5m > 0", "job").keys() == {"marmita"}
    assert set(watching.values("instance:marmita_database_reachable:min", "job").values()) == {1}
    assert set(watching.values("job_reason:marmita_records_dropped:increase10m", "reason").values()) == {0}


def test_drift_is_on_its_way_to_whoever_is_told(watching: Watching) -> None:
    """The first exams of the data are of a few patients, which drift cannot overlook."""

    def told() -> list[str]:
        alerts = [one for one in watching.ask("alerts")["alerts"] if one["labels"]["alertname"] == "MarmitaDrift"]
        return [one["annotations"]["description"] for one in alerts if one["labels"]["model"] == "fetal_health"]

    assert within(30, lambda: any("input histogram_" in description for description in told())), told()


def test_a_request_that_passes_two_services_counts_once(watching: Watching) -> None:
    front = 'bentoml_service_request_total{runner_name="Marmita", endpoint=~"/.+/.+"}'
    share = f"(endpoint:marmita_requests:rate5m > 0) / on (endpoint) sum by (endpoint) (rate({front}[5m]))"

    def shares() -> dict[str, float]:
        return watching.values(share, "endpoint")

    assert within(30, lambda: shares() == pytest.approx(dict.fromkeys((*REQUESTS, INFER, LOAD), 1), rel=0.2)), shares()


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
