"""Settings are read from the environment, checked, and handed down."""

import os
from datetime import timedelta
from typing import Any

import pytest
from bentoml.exceptions import BentoMLConfigException
from pydantic import ValidationError

from marmita.settings import Settings, settings, span


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARMITA_TOPOLOGY", "split")

    assert Settings().topology == "split"


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARMITA_TOPOLOGY", "scattered")
    settings.cache_clear()

    with pytest.raises(BentoMLConfigException, match="MARMITA_TOPOLOGY"):
        settings()

    settings.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90m", timedelta(minutes=90)), ("24h", timedelta(days=1)), ("7d", timedelta(days=7))],
)
def test_a_span_of_time_is_written_as_people_write_it(text: str, expected: timedelta) -> None:
    assert span(text) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "0h", "-1h", "1.5h", "1w", "1h "])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90m, 24h or 7d"):
        span(text)


def test_a_span_of_time_has_an_end() -> None:
    with pytest.raises(ValueError, match="longer than 366d"):
        span("367d")


def test_processes_that_are_started_get_the_same_settings_secrets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {
        "database_url": "postgresql://me:s3cret@host/name",
        "api_keys": "a-key-of-sixteen, another-of-sixteen",
        "quality_window": "7d",
        "record": "sample",
        "record_share": "0.25",
    }
    for name in Settings.model_fields:
        monkeypatch.setenv(f"MARMITA_{name.upper()}", "")  # so that all of them are as they were, afterwards
        monkeypatch.delenv(f"MARMITA_{name.upper()}")
    handed_down = Settings(**given)
    handed_down.hand_down()

    assert Settings() == handed_down
    assert Settings().keys == ["a-key-of-sixteen", "another-of-sixteen"]
    assert os.environ["MARMITA_QUALITY_WINDOW"] == "7d"


@pytest.mark.parametrize("text", ["1m", "90m", "60m", "24h", "25h", "1d", "90d", "366d", "527040m"])
def test_each_span_of_time_can_be_handed_down(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARMITA_QUALITY_WINDOW", text)
    settings = Settings()
    settings.hand_down()

    assert Settings().quality_window == settings.quality_window == span(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_keys", "too-short"),
        ("api_keys", "a-key-of-sixteen,short"),
        ("api_keys", "a-key-of-s\xefxteen-too"),
        ("record_days", "1000000"),
        ("database_url", "mysql://me:s3cret@host/name"),
        ("database_url", "no url s3cret"),
        ("mlflow_uri", "file:///s3cret"),
        ("mlflow_uri", "https://me:s3cret@"),
        ("mlflow_uri", "https://me@host:s3cret"),
        ("mlflow_uri", "https://host/?token=s3cret"),
        ("record_share", "0"),
        ("quality_window", "soon"),
    ],
)
def test_what_can_not_be_is_refused_and_no_secret_is_said(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**{name: value})  # type: ignore[arg-type]

    said = "; ".join(error["msg"] for error in refused.value.errors())
    assert said
    assert "s3cret" not in said
    assert "short" not in said
