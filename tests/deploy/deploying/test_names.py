"""What the guide names exists: files, settings, alerts."""

import re

import marmita.records.metrics
import marmita.telemetry.metrics  # noqa: F401  both define metrics
from marmita.runtime.batching import Batching
from marmita.settings import Settings
from marmita.telemetry.catalogue import METRICS
from tests.deploy.chart.values import CHART
from tests.deploy.conftest import DEPLOY, read_yaml
from tests.deploy.deploying import guide
from tests.deploy.deploying.documents import COMPOSE, CONFIGURATION, VALUES, has, keys
from tests.e2e.server import ROOT


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", guide.WRITTEN, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", guide.TEXT)

    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        assert (guide.PATH.parent / file).exists() if file else anchor in anchors, link


def test_the_readme_leads_here() -> None:
    assert "(docs/deploying.md)" in (ROOT / "README.md").read_text()


def test_paths_that_are_named_exist() -> None:
    for path in re.findall(r"\b(?:deploy|docs|tests)/[\w./-]*\w", guide.TEXT):
        assert (ROOT / path).exists() or path == "deploy/.env", path


def test_environment_variables_that_are_named_are_read() -> None:
    settings = {f"MARMITA_{name.upper()}" for name in Settings.model_fields}
    compose = {line.partition("=")[0] for line in (DEPLOY / ".env.example").read_text().splitlines()}

    for name in re.findall(r"\b(?:MARMITA|GRAFANA|POSTGRES)_[A-Z_]+", guide.TEXT):
        assert name in settings | compose, name


def test_settings_that_are_named_exist() -> None:
    model = {"batching": Batching().model_dump()}
    dotted = [name.partition(": ")[0] for name in guide.named() if re.match(r"[a-z]\w*(\.[\w<>]+)+(: |$)", name)]
    settings = [name for name in dotted if not name.endswith((".yaml", ".com"))]

    assert len(settings) > 10
    for name in settings:
        path = name.replace("<Name>", "Marmita").split(".")
        documents = (VALUES, {"services": CONFIGURATION}, CONFIGURATION, model)
        assert any(has(document, path) for document in documents), name


def test_words_with_a_shape_of_settings_are_settings() -> None:
    known = keys(VALUES) | keys(CONFIGURATION) | keys(COMPOSE)
    templates = "".join(file.read_text() for file in (CHART / "templates").iterdir())
    metrics = {metric.name for metric in METRICS}

    for name in guide.named():
        if re.fullmatch(r"[a-z]+([A-Z][a-z]+)+|[a-z]+(_[a-z]+)+", name):
            assert name in known or f"{name}:" in templates or name in metrics, name


def test_alerts_and_rules_that_are_named_exist() -> None:
    rules = [
        rule
        for path in (DEPLOY / "prometheus" / "rules").iterdir()
        for group in read_yaml(path)["groups"]
        for rule in group["rules"]
    ]
    names = {rule.get("alert") or rule["record"] for rule in rules}

    said = [name for name in guide.named() if re.fullmatch(r"Marmita[A-Z]\w+|\w+:marmita_\w+:\w+", name)]
    assert said
    assert set(said) <= names
