import pytest
from bentoml.exceptions import BentoMLConfigException

from marmita.settings import Settings, settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARMITA_TOPOLOGY", "split")

    assert Settings().topology == "split"


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARMITA_TOPOLOGY", "scattered")
    settings.cache_clear()

    with pytest.raises(BentoMLConfigException, match="MARMITA_TOPOLOGY"):
        settings()

    settings.cache_clear()
