"""What is watched, and by whom: the rules, the alerts, the dashboards, and the expressions in them."""

import json
import re
from collections.abc import Iterator

from tests.deploy.conftest import DEPLOY, read_yaml
from tests.e2e.server import ROOT

PROMETHEUS = DEPLOY / "prometheus"
GRAFANA = DEPLOY / "grafana"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"

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
