"""What can be set: wrong values are refused, and defaults are those of the service."""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import helm_python as helm
import pytest
import yaml

from marmita.cli.chart import written
from marmita.settings import Settings, duration
from tests.deploy.chart.rendering import environment, files, of_kind, render
from tests.deploy.chart.values import CHART, CONFIGURATION, EVERYTHING, MODELS, NAMES, ONE, TOGETHER, Values, with_
from tests.deploy.conftest import read_yaml, run
from tests.e2e.server import ROOT
from tests.messages import mentions

DEFAULTS: Values = read_yaml(CHART / "values.yaml")


def mappings(values: Values, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where in the values there are keys that could be misspelt: everywhere but where the keys are the user's own."""
    if path != ("models",):
        yield path
    for key, value in values.items():
        if isinstance(value, dict) and key not in ("annotations", "podAnnotations", "labels", "nodeSelector"):
            yield from mappings(value, (*path, key))


def test_misspelt_keys_are_refused_wherever_they_stand() -> None:
    optional: Values = {"models": {ONE: {"autoscaling": {"requestsInProgress": {}}, "resources": {"limits": {}}}}}
    places = list(mappings(with_(DEFAULTS, optional)))
    values: Values = {}
    for place in places:
        inner: Values = {"misspelt": "x"}
        for key in reversed(place):
            inner = {key: inner}
        values = with_(values, inner)

    with pytest.raises(helm.HelmValuesError) as refused:
        render(TOGETHER, values)
    found = re.findall(r"at '(.*)': additional properties 'misspelt' not allowed", str(refused.value))
    assert sorted(found) == sorted("".join(f"/{key}" for key in place) for place in places)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "both"},
        {"topology": "scattered"},
        {"image": {"tag": 12}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"models": {f"{ONE}x": {"image": {"repository": NAMES[ONE], "tag": "v1"}}}},
        {"models": {NAMES[ONE]: {"image": {"repository": NAMES[ONE]}, "routes": ["/a"]}}},
        {"models": {ONE: {"routes": []}}},
        {"models": {ONE: {"routes": ["predict"]}}},
        {"models": {ONE: {"prices": "yes"}}},
        {"maxBodyBytes": "16m"},
        {"preStopSeconds": 0},
        {"otlpEndpoint": "collector:4318"},
        {"configuration": {"services": {"workers": 2}}},
        {"database": {"existingSecret": "postgresql://user:password@host/name"}},
        {"database": {"url": "postgresql://host/name"}},
        {"apiKeys": {"existingSecret": ["a-key-of-a-caller"]}},
        {"records": {"mode": "some"}},
        {"records": {"sampleRate": 0}},
        {"records": {"sampleRate": 1.5}},
        {"records": {"sampleRate": "0.0"}},
        {"records": {"retention": "0d"}},
        {"records": {"retention": 30}},
        {"quality": {"interval": "60"}},
        {"quality": {"window": "24 hours"}},
        {"store": {"existingClaim": "Models"}},
        {"shepherd": {"mode": "daemon"}},
        {"shepherd": {"schedule": "hourly"}},
        {"shepherd": {"schedule": "0 * * *"}},
        {"shepherd": {"interval": "60"}},
        {"shepherd": {"image": {"tag": 12}}},
        {"shepherd": {"ticker": "MSFT; rm"}},
        {"shepherd": {"retrain": {"timeout": "1 hour"}}},
        {"shepherd": {"retrain": {"errorRatio": 1}}},
        {"shepherd": {"retrain": {"errorRatio": "0.5"}}},
        {"shepherd": {"retrain": {"minLabels": 0}}},
        {"shepherd": {"mlflow": {"uri": "mlflow:5000"}}},
        {"shepherd": {"mlflow": {"uri": "http://user:password@mlflow:5000"}}},
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

    def same(schema_of: Values, value: Values) -> None:
        properties = {key: nested for key, nested in schema_of["properties"].items() if "deprecated" not in nested}
        assert set(properties) - {"global"} == set(value)
        for key, nested in properties.items():
            if "properties" in nested and key not in ("models", "separate", "affinity"):
                same(nested, value[key])

    same(schema, DEFAULTS)


def test_deprecated_values_count_for_one_release() -> None:
    old: Values = {
        "database": {"existingSecret": "records"},
        "records": {"mode": "sample", "share": 0.25, "days": 400},
        "quality": {"everySeconds": 90},
        "store": {"existingClaim": "models"},
        "shepherd": {
            "enabled": True,
            "mode": "deployment",
            "image": {"tag": "v1"},
            "every": "3h",
            "retrain": {"pause": "2d"},
        },
    }
    told: dict[str, str] = {}
    for deployment in of_kind(render(TOGETHER, old), "Deployment").values():
        told |= environment(deployment)

    assert told["MARMITA_RECORD_SAMPLE_RATE"] == "0.25"
    assert told["MARMITA_RECORD_RETENTION"] == "400d"
    assert told["MARMITA_QUALITY_INTERVAL"] == "90s"
    assert told["MARMITA_SHEPHERD_INTERVAL"] == "3h"
    assert told["MARMITA_RETRAIN_BACKOFF"] == "2d"
    warnings = [line for line in notes(old).splitlines() if line.startswith("WARNING: ")]
    assert len(warnings) == 5
    assert any(mentions(line, "shepherd.retrain.pause", "backoff") for line in warnings)
    assert "WARNING" not in notes(EVERYTHING)


def notes(values: Values) -> str:
    (text,) = [text for name, text in files(TOGETHER, values).items() if name.endswith("NOTES.txt")]
    return text


def test_the_models_are_those_in_bentos() -> None:
    """`make chart` writes them."""
    text = (CHART / "values.yaml").read_text()

    assert written(text) == text
    assert set(DEFAULTS["models"]) == set(MODELS)


def test_a_model_that_is_new_is_written_into_the_values(tmp_path: Path) -> None:
    values = tmp_path / "deploy" / "chart" / "values.yaml"
    values.parent.mkdir(parents=True)
    shutil.copyfile(CHART / "values.yaml", values)
    shutil.copytree(ROOT / "bentos", tmp_path / "bentos")
    (tmp_path / "training").mkdir()
    (tmp_path / "flowers.csv").write_text("petal,species\n1,rose\n2,daisy\n")

    def marmita(*words: str) -> str:
        command = (sys.executable, "-m", "marmita", *words)
        return run(*command, cwd=tmp_path, environment={"PYTHONPATH": str(ROOT)})

    marmita("new", "garden_flowers", "--csv", "flowers.csv", "--target", "species")
    marmita("chart")

    models = read_yaml(values)["models"]
    new = models.pop("garden-flowers")
    assert models == DEFAULTS["models"]
    assert new == {
        "image": {"repository": "garden_flowers", "tag": ""},
        "routes": ["/garden-flowers/classify"],
        "prices": False,
        "host": "",
    }


def test_values_without_the_marks_are_left_alone() -> None:
    with pytest.raises(ValueError, match="end of models"):
        written("models: {}\n")


@pytest.mark.parametrize(
    ("mode", "missing"),
    [({}, "image.tag"), ({"mode": "separate"}, f"models.{MODELS[0]}.image.tag")],
    ids=["together", "separate"],
)
def test_without_a_version_it_says_what_is_missing(mode: Values, missing: str) -> None:
    with pytest.raises(helm.HelmRenderError, match=f"{re.escape(missing)} "):
        render(mode)


def test_the_defaults_are_those_of_the_service() -> None:
    values = DEFAULTS
    settings = Settings.model_construct()

    assert values["topology"] == settings.topology
    assert values["maxBodyBytes"] == settings.max_body_bytes
    assert timedelta(seconds=values["bodyTimeoutSeconds"]) == settings.body_timeout
    assert values["records"] | {"retention": duration(values["records"]["retention"])} == {
        "mode": settings.record,
        "sampleRate": settings.record_sample_rate,
        "retention": settings.record_retention,
        "bufferMb": settings.record_buffer_mb,
    }
    assert duration(values["quality"]["interval"]) == settings.quality_interval
    assert duration(values["quality"]["window"]) == settings.quality_window
    assert not values["shepherd"]["enabled"]
    assert values["shepherd"]["ticker"] == _default("shepherd_ticker")
    assert duration(values["shepherd"]["interval"]) == _default("shepherd_interval")
    assert {name: _duration_or_number(value) for name, value in values["shepherd"]["retrain"].items()} == {
        "maxAge": _default("retrain_max_age"),
        "errorRatio": _default("retrain_error_ratio"),
        "minLabels": _default("retrain_min_labels"),
        "backoff": _default("retrain_backoff"),
        "timeout": _default("retrain_timeout"),
        "memoryMb": _default("retrain_memory_mb"),
        "keepVersions": _default("retrain_keep_versions"),
    }
    assert values["shepherd"]["mlflow"]["uri"] == ""
    assert values["requestTimeoutSeconds"] == yaml.safe_load(CONFIGURATION)["services"]["traffic"]["timeout"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == project["version"]


def _default(setting: str) -> object:
    return Settings.model_fields[setting].default


def _duration_or_number(value: object) -> object:
    return duration(value) if isinstance(value, str) else value
