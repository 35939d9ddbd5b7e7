"""Settings are read from the environment, checked, and handed down."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bentoml.exceptions import BentoMLConfigException
from pydantic import ValidationError

from marmita.settings import _SHORTEST_KEY, RENAMED, Settings, duration, read, settings, variable
from tests.messages import logged


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
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
    ],
)
def test_a_duration_is_written_as_people_write_it(text: str, expected: timedelta) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "0h", "-1h", "1.5h", "1w", "1ms", "1h "])
def test_what_is_no_duration_is_invalid(text: str) -> None:
    with pytest.raises(ValueError, match="30s, 90m, 24h or 7d"):
        duration(text)


@pytest.mark.parametrize("text", ["367d", "31622401s", "9999999999d"])
def test_a_duration_has_a_limit(text: str) -> None:
    with pytest.raises(ValueError, match="366d"):
        duration(text)


def test_processes_that_are_started_get_the_same_settings_secrets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {
        "database_url": "postgresql://me:s3cret@host/name",
        "api_keys": "a-key-of-sixteen, another-of-sixteen",
        "quality_window": "7d",
        "record": "sample",
        "record_sample_rate": "0.25",
    }
    for name in Settings.model_fields:
        monkeypatch.setenv(f"MARMITA_{name.upper()}", "")  # so that all of them are as they were, afterwards
        monkeypatch.delenv(f"MARMITA_{name.upper()}")
    handed_down = Settings(**given)
    handed_down.hand_down()

    assert Settings() == handed_down
    assert Settings().keys == ["a-key-of-sixteen", "another-of-sixteen"]
    assert os.environ["MARMITA_QUALITY_WINDOW"] == "7d"


@pytest.mark.parametrize("text", ["1s", "90s", "1m", "90m", "60m", "24h", "25h", "1d", "90d", "366d", "527040m"])
def test_each_duration_can_be_handed_down(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARMITA_QUALITY_WINDOW", text)
    settings = Settings()
    settings.hand_down()

    assert Settings().quality_window == settings.quality_window == duration(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_keys", "too-short"),
        ("api_keys", "a-key-of-sixteen,short"),
        ("api_keys", "a-key-of-s\xefxteen-too"),
        ("record_retention", "36501d"),
        ("database_url", "mysql://me:s3cret@host/name"),
        ("database_url", "no url s3cret"),
        ("mlflow_uri", "file:///s3cret"),
        ("mlflow_uri", "https://me:s3cret@"),
        ("mlflow_uri", "https://me@host:s3cret"),
        ("mlflow_uri", "https://host/?token=s3cret"),
        ("record_sample_rate", "0"),
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


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a process starts in, with no settings in force."""
    for name in (*RENAMED, *Settings.model_fields):
        monkeypatch.delenv(variable(name), raising=False)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


OLD = [
    ("body_timeout_s", "20", timedelta(seconds=20)),
    ("body_timeout_s", "0.5", timedelta(seconds=1)),
    ("quality_every_s", "90.0", timedelta(seconds=90)),
    ("record_days", "400", timedelta(days=400)),
    ("record_share", "0.25", 0.25),
    ("retrain_pause", "2d", timedelta(days=2)),
    ("shepherd_every", "90m", timedelta(minutes=90)),
]


def test_every_deprecated_name_is_tried() -> None:
    assert {old for old, _, _ in OLD} == set(RENAMED)
    assert {new for new, _ in RENAMED.values()} <= set(Settings.model_fields)
    assert not set(RENAMED) & set(Settings.model_fields)


@pytest.mark.parametrize("where", ["environment", ".env"])
@pytest.mark.parametrize(("old", "text", "expected"), OLD)
def test_a_deprecated_name_is_read_and_one_warning_names_the_new_one(
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
    old: str,
    text: str,
    expected: object,
) -> None:
    if where == ".env":
        (nowhere / ".env").write_text(f"{variable(old)}={text}\n")
    else:
        monkeypatch.setenv(variable(old), text)
    new, _ = RENAMED[old]

    assert getattr(settings(), new) == getattr(settings(), new) == expected
    assert logged(caplog, "marmita.settings", "WARNING", variable(old), variable(new)) == caplog.records
    assert len(caplog.records) == 1


def test_a_new_name_counts_over_a_deprecated_one_wherever_it_stands(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (nowhere / ".env").write_text("MARMITA_RECORD_RETENTION=7d\n")
    monkeypatch.setenv("MARMITA_RECORD_DAYS", "9")

    assert settings().record_retention == timedelta(days=7)
    assert caplog.messages == []


@pytest.mark.parametrize("text", ["0", "-3", "soon", "nan", "inf"])
@pytest.mark.parametrize("old", [old for old in RENAMED if old != "record_share"])
def test_a_wrong_value_is_told_under_the_name_by_which_it_was_set(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, old: str, text: str
) -> None:
    monkeypatch.setenv(variable(old), text)

    with pytest.raises(BentoMLConfigException, match=rf"^{variable(old)}: .*30s, 90m, 24h or 7d$"):
        read()


def test_what_was_set_by_a_deprecated_name_is_handed_down_by_the_new_one(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(variable(name), "")  # so that all of them are as they were, afterwards
        monkeypatch.delenv(variable(name))
    monkeypatch.setenv("MARMITA_QUALITY_EVERY_S", "2.5")
    read().hand_down()

    assert os.environ["MARMITA_QUALITY_INTERVAL"] == "3s"
    assert settings().quality_interval == timedelta(seconds=3)
    assert caplog.messages == []


def test_every_setting_says_what_it_does() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
    assert f"at least {_SHORTEST_KEY} characters" in str(Settings.model_fields["api_keys"].description)
