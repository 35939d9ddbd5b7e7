"""What the pods remember, and where: every pod has models that make records, and secrets stay in secrets."""

import json

import helm_python as helm
import pytest

from marmita.settings import Settings
from tests.deploy.chart.rendering import Manifest, container, environment, of_kind, render, valid
from tests.deploy.chart.values import EVERYTHING, MODES, SEPARATE, TOGETHER, Values

DATABASE: Values = {"database": {"existingSecret": "records"}}


def secrets(deployment: Manifest) -> dict[str, dict[str, str]]:
    """The variables that come from secrets."""
    return {
        variable["name"]: variable["valueFrom"]["secretKeyRef"]
        for variable in container(deployment)["env"]
        if "secretKeyRef" in variable.get("valueFrom", {})
    }


@pytest.mark.parametrize(
    "mode",
    [TOGETHER, TOGETHER | {"topology": "split"}, SEPARATE],
    ids=["together", "split", "separate"],
)
def test_settings_of_records_reach_every_pod(mode: Values) -> None:
    manifests = render(EVERYTHING, mode)

    valid(manifests)
    for deployment in of_kind(manifests, "Deployment").values():
        told = {
            name: value for name, value in environment(deployment).items() if "_RECORD" in name or "_QUALITY" in name
        }
        assert told == {
            "MARMITA_RECORD": "sample",
            "MARMITA_RECORD_SAMPLE_RATE": "0.5",
            "MARMITA_RECORD_RETENTION": "7d",
            "MARMITA_RECORD_BUFFER_MB": "64",
            "MARMITA_QUALITY_INTERVAL": "5m",
            "MARMITA_QUALITY_WINDOW": "7d",
        }
        assert {name.removeprefix("MARMITA_").lower() for name in told} <= set(Settings.model_fields)
        given = secrets(deployment)
        assert given["MARMITA_DATABASE_URL"] == {"name": "records", "key": "uri"}
        assert given["MARMITA_API_KEYS"] == {"name": "callers", "key": "all"}


@MODES
def test_by_default_nothing_is_kept_and_no_secret_is_asked_for(mode: Values) -> None:
    for deployment in of_kind(render(mode), "Deployment").values():
        assert environment(deployment)["MARMITA_RECORD"] == "off"
        assert secrets(deployment) == {}


@MODES
@pytest.mark.parametrize("kept", ["sample", "all"])
def test_predictions_are_not_kept_where_they_would_be_lost(mode: Values, kept: str) -> None:
    keeps: Values = {"records": {"mode": kept}}

    with pytest.raises(helm.HelmRenderError, match=rf"records\.mode: {kept} .*database\.existingSecret"):
        render(mode, keeps)
    assert render(mode, keeps, DATABASE)


@MODES
def test_a_database_can_be_there_without_predictions_for_prices_alone(mode: Values) -> None:
    for deployment in of_kind(render(mode, DATABASE), "Deployment").values():
        assert secrets(deployment) == {"MARMITA_DATABASE_URL": {"name": "records", "key": "url"}}
        assert environment(deployment)["MARMITA_RECORD"] == "off"


@pytest.mark.parametrize("rate", ["0.5", ".25", "1", "1.0"])
def test_a_sample_rate_on_the_command_line_is_a_number_too(rate: str) -> None:
    text = f"database.existingSecret=records,records.mode=sample,records.sampleRate={rate}"
    manifests = render(TOGETHER, helm.parse_set_string(text))

    (deployment,) = of_kind(manifests, "Deployment").values()
    assert environment(deployment)["MARMITA_RECORD_SAMPLE_RATE"] == rate


def test_no_secret_is_made_by_the_chart() -> None:
    manifests = render(TOGETHER, EVERYTHING)

    assert of_kind(manifests, "Secret") == {}
    assert "postgresql://" not in json.dumps(manifests)
