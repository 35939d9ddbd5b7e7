"""What each route answers to good requests."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from bentos.stock_forecast.contract import WINDOW
from marmita.registry.packed_model import PackedModel
from tests.bentos.conftest import opened
from tests.samples import CLASSIFY, FORECAST, REQUESTS, SCORE, exams, series, wines

ALONE = {"fetal_health": CLASSIFY, "wine_quality": SCORE, "stock_forecast": FORECAST}


def test_each_exam_gets_its_class_and_probabilities_that_add_up(
    client: TestClient, champions: dict[str, PackedModel]
) -> None:
    answers = client.post(CLASSIFY, json=exams(50)).json()

    assert len(answers) == 50
    for answer in answers:
        assert answer["model"] == champions["fetal_health"].tag
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert max(answer["probabilities"], key=answer["probabilities"].get) == answer["status"]
    assert {answer["status"] for answer in answers} >= {"normal", "suspect", "pathological"}


def test_each_wine_gets_a_score_inside_its_interval(client: TestClient, champions: dict[str, PackedModel]) -> None:
    answers = client.post(SCORE, json=wines(50)).json()

    assert len(answers) == 50
    for answer in answers:
        assert answer["model"] == champions["wine_quality"].tag
        assert 0 <= answer["interval"]["low"] < answer["quality"] < answer["interval"]["high"] <= 10
        assert answer["interval"]["coverage"] == 0.9
    assert len({answer["quality"] for answer in answers}) > 20


@pytest.mark.parametrize("horizon", [1, 5, 10])
def test_a_forecast_is_as_long_as_its_horizon(
    client: TestClient, champions: dict[str, PackedModel], horizon: int
) -> None:
    (answer,) = client.post(FORECAST, json=series(1, horizon=horizon)).json()

    assert answer["model"] == champions["stock_forecast"].tag
    assert answer["coverage"] == 0.9
    assert [step["step"] for step in answer["path"]] == list(range(1, horizon + 1))
    widths = [step["high"] - step["low"] for step in answer["path"]]
    assert all(0 < step["low"] <= step["close"] <= step["high"] for step in answer["path"])
    assert widths[0] <= widths[-1]


def test_a_forecast_knows_no_price_level(client: TestClient) -> None:
    request = series(1, horizon=10)
    dearer = {"series": [{"closes": [1000 * close for close in request["series"][0]["closes"]], "horizon": 10}]}

    (cheap,), (dear,) = client.post(FORECAST, json=request).json(), client.post(FORECAST, json=dearer).json()

    for step, dearer_step in zip(cheap["path"], dear["path"], strict=True):
        assert dearer_step["close"] == pytest.approx(1000 * step["close"], rel=1e-5)
        assert dearer_step["low"] == pytest.approx(1000 * step["low"], rel=1e-5)


def test_a_forecast_looks_at_the_last_window_only(client: TestClient) -> None:
    request = series(1)
    longer = {"series": [{"closes": [999.0] * 40 + request["series"][0]["closes"], "horizon": 5}]}

    assert client.post(FORECAST, json=longer).json() == client.post(FORECAST, json=request).json()


def test_a_price_that_stands_still_is_forecast_to_stand_still(client: TestClient) -> None:
    (answer,) = client.post(FORECAST, json={"series": [{"closes": [50.0] * WINDOW, "horizon": 10}]}).json()

    assert all(49 < step["low"] <= step["close"] <= step["high"] < 51 for step in answer["path"])


def test_features_outside_the_training_range_are_named(client: TestClient) -> None:
    request = wines(2)
    request["wines"][1] |= {"alcohol": 80.0, "ph": 1.0}

    usual, unusual = client.post(SCORE, json=request).json()

    assert usual["unusual"] == []
    assert unusual["unusual"] == ["ph", "alcohol"]


def test_the_data_sets_own_column_names_are_taken_too(client: TestClient) -> None:
    request = wines(1)
    wine = request["wines"][0]
    renamed = {name.replace("_", " ").replace("ph", "pH") if name == "ph" else name: v for name, v in wine.items()}
    renamed = {"free sulfur dioxide" if name == "free_sulfur_dioxide" else name: v for name, v in renamed.items()}
    exam = exams(1)["exams"][0]
    baseline = exam.pop("baseline_value")

    assert client.post(SCORE, json={"wines": [renamed]}).json() == client.post(SCORE, json=request).json()
    assert client.post(CLASSIFY, json={"exams": [exam | {"baseline value": baseline}]}).status_code == 200


def test_whole_numbers_are_numbers(client: TestClient) -> None:
    wine = wines(1)["wines"][0] | {"alcohol": 9}

    assert client.post(SCORE, json={"wines": [wine]}).status_code == 200


@pytest.mark.parametrize("name", ALONE)
def test_a_models_service_alone_answers_as_the_front_door_does(
    services: dict[str, Any], client: TestClient, name: str
) -> None:
    route = ALONE[name]
    request = REQUESTS[route](20)

    with opened(services[name]) as alone:
        assert alone.get("/readyz").status_code == 200
        assert alone.post(route, json=request).json() == client.post(route, json=request).json()
        assert [model["name"] for model in alone.get("/models").json()["models"]] == [name]


def test_the_largest_request_is_answered_row_by_row(client: TestClient) -> None:
    request = {"wines": (wines(1599)["wines"] * 7)[:10_000]}

    answers = client.post(SCORE, json=request).json()

    assert len(answers) == 10_000
    assert answers[:1000] == answers[1599 : 1599 + 1000]


def test_what_is_served_is_shown(client: TestClient, champions: dict[str, PackedModel]) -> None:
    listed = client.get("/models").json()["models"]

    assert {model["name"]: model["tag"] for model in listed} == {name: m.tag for name, m in champions.items()}
    for name, packed in champions.items():
        shown = client.get(f"/models/{name}").json()
        assert shown["tag"] == packed.tag
        assert shown["card"]["headline"]["baseline_value"] > 0
        assert shown["card"]["data"]["fingerprint"] == packed.card.data.fingerprint
        assert shown["contract"] == packed.contract
