"""Grafana's dashboards: whole, readable, and pointed at the data source that they are given."""

import itertools
import re
from typing import Any

import pytest

from tests.deploy.conftest import read_yaml
from tests.deploy.monitoring import DASHBOARDS, GRAFANA, PANELS


def test_grafana_is_given_the_data_source_that_the_dashboards_ask() -> None:
    sources = read_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    uids = {source["uid"]: source["type"] for source in sources}

    for _, panel in PANELS:
        for asked in [panel["datasource"], *(target["datasource"] for target in panel["targets"])]:
            assert uids[asked["uid"]] == asked["type"]
    for board in DASHBOARDS.values():
        for variable in board["templating"]["list"]:
            assert uids[variable["datasource"]["uid"]] == variable["datasource"]["type"]


@pytest.mark.parametrize("board", DASHBOARDS)
def test_a_dashboard_is_whole(board: str) -> None:
    content = DASHBOARDS[board]

    assert content["uid"] == f"marmita-{board}"
    assert content["title"]
    assert content["schemaVersion"] >= 39
    assert "id" not in content, "Grafana gives the number"
    ids = [panel["id"] for panel in content["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in content["templating"]["list"]}
    used = {name for panel in content["panels"] for t in panel["targets"] for name in re.findall(r"\$(\w+)", t["expr"])}
    assert used - {"__rate_interval"} == variables


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=[f"{board}: {panel['title']}" for board, panel in PANELS])
def test_a_panel_is_whole(board: str, panel: dict[str, Any]) -> None:
    assert panel["type"] in {"stat", "state-timeline", "table", "timeseries"}
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["options"]
    names = [target["refId"] for target in panel["targets"]]
    assert names
    assert len(set(names)) == len(names)
    for target in panel["targets"]:
        assert target["legendFormat"] or panel["type"] == "table"


@pytest.mark.parametrize("board", DASHBOARDS)
def test_panels_do_not_lie_on_each_other(board: str) -> None:
    places = [panel["gridPos"] for panel in DASHBOARDS[board]["panels"]]

    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in itertools.combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
