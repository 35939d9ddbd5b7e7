"""What `docs/shepherd.md` names is there, and its figures are those of the settings."""

import re

import pytest

from marmita.settings import Settings
from tests.deploy.conftest import DEPLOY
from tests.deploy.monitoring import ALERTS
from tests.e2e.server import ROOT

PAGE = ROOT / "docs" / "shepherd.md"
TEXT = PAGE.read_text()
PLAIN = " ".join(TEXT.split())


def test_links_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", TEXT, re.M)
    }
    links = re.findall(r"\]\(([^)]+)\)", TEXT)

    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        assert (PAGE.parent / file).exists() if file else anchor in anchors, link


def test_pages_that_lead_here_are_there() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "deploying.md"):
        assert "shepherd.md)" in page.read_text()


def test_settings_that_are_named_exist() -> None:
    known = {f"MARMITA_{name.upper()}" for name in Settings.model_fields}
    said = set(re.findall(r"MARMITA_[A-Z_]*[A-Z]\b", TEXT))

    assert said - known - {"MARMITA_SHEPHERD", "MARMITA_RETRAIN"} == set()
    for name in said & known:
        assert f"{name}=" in (DEPLOY / ".env.example").read_text(), name


def test_alerts_that_are_named_exist() -> None:
    assert set(re.findall(r"\bMarmita[A-Z]\w+", TEXT)) <= set(ALERTS)


@pytest.mark.parametrize(
    ("setting", "said"),
    [("retrain_max_age", "30 days"), ("retrain_error_ratio", "1.5"), ("retrain_min_labels", "100")],
)
def test_figures_are_the_defaults(setting: str, said: str) -> None:
    default = Settings.model_fields[setting].default

    assert f"`MARMITA_{setting.upper()}` ({said})" in PLAIN
    assert (f"{default.days} days" if setting == "retrain_max_age" else str(default)) == said
