"""Bad requests: each gets its 4xx in the one shape, names what is wrong, and leaves the service as it was."""

import json
import pickle
from typing import Any

import pytest
from starlette.testclient import TestClient

from bentos.stock_forecast.contract import WINDOW
from tests.messages import mentions
from tests.samples import CLASSIFY, FORECAST, REQUESTS, SCORE, exams, series, wines

JSON = {"content-type": "application/json"}


def changed(request: dict[str, Any], row: int, **fields: Any) -> dict[str, Any]:
    """The request with one row's fields changed."""
    (rows,) = request.values()
    rows[row] |= fields
    return request


def without(request: dict[str, Any], row: int, field: str) -> dict[str, Any]:
    (rows,) = request.values()
    del rows[row][field]
    return request


BAD_VALUES: dict[str, tuple[str, Any, list[str | int]]] = {
    "a string for a number": (SCORE, changed(wines(3), 2, alcohol="9.4"), ["wines", 2, "alcohol"]),
    "true for a number": (SCORE, changed(wines(3), 1, alcohol=True), ["wines", 1, "alcohol"]),
    "null for a number": (CLASSIFY, changed(exams(2), 1, histogram_min=None), ["exams", 1, "histogram_min"]),
    "a list for a number": (CLASSIFY, changed(exams(2), 0, histogram_min=[1]), ["exams", 0, "histogram_min"]),
    "NaN": (SCORE, changed(wines(2), 1, ph=float("nan")), ["wines", 1, "ph"]),
    "Infinity": (CLASSIFY, changed(exams(2), 1, histogram_max=float("inf")), ["exams", 1, "histogram_max"]),
    "-Infinity": (FORECAST, changed(series(1), 0, closes=[20.0] * 59 + [float("-inf")]), ["series", 0, "closes", 59]),
    "NaN among closes": (FORECAST, changed(series(2), 1, closes=[float("nan")] * 60), ["series", 1, "closes", 0]),
    "more than there can be": (SCORE, changed(wines(2), 0, alcohol=101.0), ["wines", 0, "alcohol"]),
    "less than there can be": (SCORE, changed(wines(2), 0, density=-1.0), ["wines", 0, "density"]),
    "a missing field": (SCORE, without(wines(3), 2, "sulphates"), ["wines", 2, "sulphates"]),
    "an unknown field": (CLASSIFY, changed(exams(2), 1, mood=1.0), ["exams", 1, "mood"]),
    "an unknown field beside the rows": (SCORE, wines(1) | {"vines": []}, ["vines"]),
    "no rows": (SCORE, {"wines": []}, ["wines"]),
    "a row that is no object": (SCORE, {"wines": [1]}, ["wines", 0]),
    "rows that are no list": (SCORE, {"wines": {}}, ["wines"]),
    "a list for an object": (SCORE, [], []),
    "null": (SCORE, None, []),
    "no rows at all": (CLASSIFY, {}, ["exams"]),
    "a horizon of 0": (FORECAST, changed(series(2), 1, horizon=0), ["series", 1, "horizon"]),
    "a horizon of 999": (FORECAST, changed(series(2), 0, horizon=999), ["series", 0, "horizon"]),
    "half a day": (FORECAST, changed(series(2), 0, horizon=2.5), ["series", 0, "horizon"]),
    "too few closes": (FORECAST, changed(series(2), 1, closes=[20.0] * (WINDOW - 1)), ["series", 1, "closes"]),
    "a negative price": (FORECAST, changed(series(1), 0, closes=[20.0] * 59 + [-1.0]), ["series", 0, "closes", 59]),
    "a price of zero": (FORECAST, changed(series(1), 0, closes=[0.0] * 60), ["series", 0, "closes", 0]),
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_a_bad_value_is_named_with_its_row_and_field(client: TestClient, what: str) -> None:
    route, request, loc = BAD_VALUES[what]

    answer = client.post(route, content=json.dumps(request), headers=JSON)

    assert answer.status_code == 400, answer.text
    said = answer.json()
    assert set(said) == {"error", "code", "detail"}
    assert said["code"] == "invalid_request"
    assert loc in [item["loc"] for item in said["detail"]]
    assert all(set(item) == {"loc", "msg", "type"} for item in said["detail"])
    assert all(str(part) in said["error"] for part in said["detail"][0]["loc"])


BAD_BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "malformed JSON": (b'{"wines": [{"alcohol": 9.4,,}]}', JSON, 400),
    "half a body": (json.dumps(wines(1)).encode()[:-3], JSON, 400),
    "nothing": (b"", JSON, 400),
    "bytes that are no text": (b"\xff\xfe\x00", JSON, 400),
    "nesting without end": (b"[" * 100_000, JSON, 400),
    "a number of 100,000 digits": (b'{"wines": [{"alcohol": ' + b"9" * 100_000 + b"}]}", JSON, 400),
    "text": (b"hello", {"content-type": "text/plain"}, 415),
    "a form": (b"wines=1", {"content-type": "application/x-www-form-urlencoded"}, 415),
    "a multipart form": (b"--x--", {"content-type": "multipart/form-data; boundary=x"}, 415),
    "a pickle": (pickle.dumps(wines(1)), {"content-type": "application/vnd.bentoml+pickle"}, 415),
    "a pickle under a false name": (pickle.dumps(wines(1)), JSON, 400),
    "a compressed body": (b"\x1f\x8b", JSON | {"content-encoding": "gzip"}, 415),
}


@pytest.mark.parametrize("route", REQUESTS)
@pytest.mark.parametrize("what", BAD_BODIES)
def test_a_bad_body_is_refused_on_every_route(client: TestClient, what: str, route: str) -> None:
    body, headers, status = BAD_BODIES[what]

    answer = client.post(route, content=body, headers=headers)

    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "code", "detail"}
    assert answer.json()["code"] == {400: "invalid_request", 415: "unsupported_media_type"}[status]
    assert answer.headers["x-request-id"]
    assert client.post(route, json=REQUESTS[route](1)).status_code == 200


@pytest.mark.parametrize("route", REQUESTS)
def test_one_row_too_many_is_too_much(client: TestClient, route: str) -> None:
    request = REQUESTS[route](1)
    ((name, rows),) = request.items()

    answer = client.post(route, json={name: rows * 10_001})

    assert answer.status_code == 413
    assert answer.json()["code"] == "too_many_items"
    assert answer.json()["detail"][0]["loc"] == [name]
    assert client.post(route, json=request).status_code == 200


def test_ten_thousand_wrong_rows_get_a_short_answer(client: TestClient) -> None:
    answer = client.post(SCORE, json={"wines": [dict.fromkeys(wines(1)["wines"][0], "x")] * 10_000})

    assert answer.status_code == 400
    assert len(answer.content) < 5_000
    assert answer.json()["detail"][0]["loc"] == ["wines", 0, "fixed_acidity"]


@pytest.mark.parametrize(
    ("keys", "status", "kind"),
    [(2_000, 400, "too_many_errors"), (50_000, 400, "too_many_errors"), (300_000, 413, "too_many_keys")],
)
def test_unknown_fields_without_end_are_not_listed(client: TestClient, keys: int, status: int, kind: str) -> None:
    request = wines(1)
    request["wines"][0] |= {f"unknown_{number}": 1 for number in range(keys)}

    answer = client.post(SCORE, json=request)

    assert answer.status_code == status
    assert len(answer.content) < 1_000
    assert [one["type"] for one in answer.json()["detail"]] == [kind]


def test_a_field_with_an_endless_name_is_not_mirrored(client: TestClient) -> None:
    request = wines(1)
    request["wines"][0]["x" * 1_000_000] = 1

    answer = client.post(SCORE, json=request)

    assert answer.status_code == 400
    assert len(answer.content) < 1_000
    assert answer.json()["detail"][0]["loc"][2].startswith("xxx")


def test_the_message_counts_all_errors(client: TestClient) -> None:
    request = wines(1)
    request["wines"][0] |= {f"unknown_{number}": 1 for number in range(50)}

    answer = client.post(SCORE, json=request).json()

    assert mentions(answer["error"], 49)
    assert len(answer["detail"]) == 20


@pytest.mark.parametrize("route", REQUESTS)
@pytest.mark.parametrize("behind", ["%0a", "%00", "/"])
def test_there_is_no_way_around_the_front(client: TestClient, route: str, behind: str) -> None:
    answer = client.post(route + behind, content=b"1" * 100, headers={"content-type": "text/plain"})

    assert answer.status_code == 404


def test_what_the_front_refuses_is_counted(client: TestClient) -> None:
    def counted() -> float:
        return sum(
            float(line.rpartition(" ")[2])
            for line in client.get("/metrics").text.splitlines()
            if line.startswith('marmita_rejected_requests_total{status="415"}')
        )

    before = counted()
    for _ in range(3):
        client.post(SCORE, content=b"x", headers={"content-type": "text/plain"})

    assert counted() == before + 3


def test_unknown_paths_add_nothing_to_the_metrics(client: TestClient) -> None:
    client.get("/nowhere")
    before = len(client.get("/metrics").text.splitlines())
    for number in range(50):
        assert client.get(f"/nowhere-{number}").status_code == 404
        assert client.get(f"/models/nobody-{number}").status_code == 404

    assert len(client.get("/metrics").text.splitlines()) == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/models/nobody", 404, "model_not_found"),
        ("GET", SCORE, 405, "method_not_allowed"),
        ("DELETE", "/models", 405, "method_not_allowed"),
        ("POST", "/readyz", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
    ],
)
def test_errors_of_the_routing_have_the_same_shape(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert answer.json()["detail"] == []
    assert answer.json()["error"]


@pytest.mark.parametrize("route", REQUESTS)
def test_a_prediction_needs_no_content_type(client: TestClient, route: str) -> None:
    """It changes nothing: whoever sends one from another page can't read the answer."""
    body = json.dumps(REQUESTS[route](1)).encode()

    assert client.post(route, content=body).status_code == 200


@pytest.mark.parametrize("route", ["/labels", "/prices/load"])
@pytest.mark.parametrize("media_type", [None, "", "text/plain", "application/x-www-form-urlencoded"])
def test_what_changes_something_must_be_said_to_be_json(client: TestClient, route: str, media_type: str | None) -> None:
    """A page of any origin may send the rest without asking."""
    headers = {} if media_type is None else {"content-type": media_type}
    answer = client.post(route, content=b"{}", headers=headers)
    as_json = client.post(route, content=b"{}", headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert (as_json.status_code, as_json.json()["code"]) == (400, "invalid_request")


def test_a_fault_inside_is_a_500_that_tells_nothing(
    client: TestClient, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("the secret")

    monkeypatch.setattr(services["wine_quality"].inner, "run", explode)

    answer = client.post(SCORE, json=wines(1))

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert set(answer.json()) == {"error", "code", "detail"}
    assert client.post(CLASSIFY, json=exams(1)).status_code == 200
