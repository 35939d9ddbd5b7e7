"""Renamed metrics are exported under both names, as the processes of a service write them and BentoML shows them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from marmita.records import metrics as record_metrics
from marmita.telemetry import catalogue, metrics
from marmita.telemetry.catalogue import METRICS, Metric, with_deprecated_names

WORKERS = """
import os
from datetime import UTC, datetime
from bentoml._internal.server.metrics.prometheus import PrometheusClient
from marmita.records.metrics import RecordMetrics, show_shepherd
from marmita.telemetry import metrics
from marmita.telemetry.catalogue import with_deprecated_names
child = os.fork()
for _ in range(3 if child else 4):
    metrics._rejection(429).inc()
RecordMetrics().queued(10)
if child:
    os.waitpid(child, 0)
    metrics.rejects_champion('a "b" {c} \\\\', True)
    metrics.serves("wine", "v1", datetime(2026, 1, 2, tzinfo=UTC))
    show_shepherd(datetime(2026, 3, 4, tzinfo=UTC), {})
    print(with_deprecated_names(PrometheusClient().generate_latest().decode()), end="")
"""
RENAMED = {metric.renamed_from: metric for metric in METRICS if metric.renamed_from}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What two processes of a service export together."""
    folder = tmp_path_factory.mktemp("metrics")
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", WORKERS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("old", RENAMED)
def test_a_renamed_metric_is_exported_under_both_names(text: str, old: str) -> None:
    families = {family.name: family for family in text_string_to_metric_families(text)}
    now = RENAMED[old]
    (new_family, old_family) = (families[name.removesuffix("_total")] for name in (now.name, old))

    def values(name: str, samples: list[Sample]) -> list[tuple[str, dict[str, str], float]]:
        return [(sample.name.removeprefix(name), sample.labels, sample.value) for sample in samples]

    assert new_family.samples
    assert values(old, old_family.samples) == values(now.name, new_family.samples)
    assert old_family.type == new_family.type == now.type
    assert old_family.documentation == f"Deprecated: use {now.name}."
    assert new_family.documentation == now.about


def test_processes_are_added_up_under_both_names(text: str) -> None:
    for name in ("marmita_rejected_requests_total", "marmita_refused_total"):
        assert f'{name}{{status="429"}} 7.0\n' in text


def test_nothing_is_said_under_the_old_name_of_what_is_not_exported() -> None:
    text = "# HELP marmita_refused x\n# TYPE marmita_refused gauge\nmarmita_refused 1.0\n"

    assert with_deprecated_names(text) == text


def test_a_metric_whose_name_begins_with_a_renamed_one_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "METRICS", [Metric("rows", "gauge", "", (), "", "lines")])

    assert with_deprecated_names("rows 1.0\nrows_total 2.0\n") == (
        "rows 1.0\nrows_total 2.0\n# HELP lines Deprecated: use rows.\nlines 1.0\n"
    )


def test_names_are_used_once() -> None:
    names = [name for metric in METRICS for name in (metric.name, metric.renamed_from) if name]

    assert len(names) == len(set(names))
    assert {metric.process for metric in METRICS} == {catalogue.RUNNER, catalogue.FRONT}


def test_every_metric_is_in_the_catalogue() -> None:
    for module in (metrics, record_metrics):
        source = Path(str(module.__file__)).read_text()
        assert not [kind for kind in ("Counter(", "Gauge(", "Histogram(") if f" {kind}" in source]
