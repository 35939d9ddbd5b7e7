"""Pages of other origins: `http.cors` of the configuration counts for every route; without it nothing is allowed."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from marmita.registry.packed_model import PackedModel
from tests.e2e.server import Server, home, serve
from tests.samples import CLASSIFY, FORECAST, INFER, SCORE, wine_tensors, wines

ORIGIN, OTHER = "https://page.example", "https://other.example"
POSTS = (CLASSIFY, SCORE, FORECAST, INFER, "/labels", "/prices/load")
GETS = ("/", "/models", "/docs.json", "/v2", "/v2/models/wine_quality", "/livez", "/metrics", "/schema.json")
ALLOWED, EXPOSED = "access-control-allow-origin", "access-control-expose-headers"


@pytest.fixture(scope="module", params=["colocated", "split"])
def opened(
    request: pytest.FixtureRequest, champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that one origin may use. Its database is not there."""
    cors = {"enabled": True, "access_control_allow_origins": ORIGIN}
    configuration = {"services": {"http": {"cors": cors}, "Marmita": {"workers": 1}}}
    variables = {
        "BENTOML_CONFIG_OVERRIDES": json.dumps(configuration),
        "MARMITA_TOPOLOGY": request.param,
        "MARMITA_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/records",
        "MARMITA_MAX_BODY_BYTES": "20000",
    }
    with serve(home(tmp_path_factory.mktemp("cors") / "home"), **variables) as server:
        yield server


def preflight(
    server: Server, path: str, origin: str = ORIGIN, method: str = "POST", headers: str = ""
) -> httpx.Response:
    asked = {"access-control-request-method": method, "access-control-request-headers": headers or "content-type"}
    return httpx.options(f"{server.url}{path}", headers={"origin": origin} | asked, timeout=30)


def check(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers.get_list(ALLOWED) == [ORIGIN]
    exposed = [name.strip().lower() for name in answer.headers[EXPOSED].split(",")]
    assert set(exposed) >= {"x-request-id", "inference-header-content-length", "retry-after"}
    assert [name.strip().lower() for name in answer.headers["vary"].split(",")].count("origin") == 1
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", POSTS)
def test_a_preflight_allows_what_the_routes_take(opened: Server, path: str) -> None:
    headers = "authorization, content-type, x-request-id, inference-header-content-length"

    answer = preflight(opened, path, headers=headers)

    assert answer.status_code == 200, answer.text
    assert answer.headers.get_list(ALLOWED) == [ORIGIN]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert set(headers.split(", ")) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))


@pytest.mark.parametrize("path", POSTS)
def test_a_preflight_of_another_origin_allows_nothing(opened: Server, path: str) -> None:
    answer = preflight(opened, path, origin=OTHER)

    assert answer.status_code == 400
    assert ALLOWED not in answer.headers


def test_requests_are_answered_for_the_origin(opened: Server) -> None:
    with httpx.Client(base_url=opened.url, headers={"origin": ORIGIN}, timeout=30) as asking:
        for path in GETS:
            check(asking.get(path), 200)
        check(asking.post(SCORE, json=wines(1)), 200)
        check(asking.post(INFER, json=wine_tensors(1)), 200)
        binary = asking.post(INFER, json=wine_tensors(1, parameters={"binary_data_output": True}))
        check(binary, 200)
        assert int(binary.headers["inference-header-content-length"]) < len(binary.content)


def test_errors_can_be_read_too(opened: Server) -> None:
    with httpx.Client(base_url=opened.url, headers={"origin": ORIGIN}, timeout=30) as asking:
        check(asking.post(SCORE, json=wines(1)["wines"]), 400)
        check(asking.post(INFER, json={}), 400)
        for path in ("/nowhere", "/v2/nowhere"):
            check(asking.get(path), 404)
        check(asking.get(SCORE), 405)
        for path in (SCORE, INFER, "/labels"):
            check(asking.post(path, content=b"1" * 20_001, headers={"content-type": "application/json"}), 413)
            check(asking.post(path, content=b"x", headers={"content-type": "text/plain"}), 415)
        labels = {"labels": [{"id": "0192f3c41d8a5b7e0c4d9a61e83b2f70-0", "truth": 6}]}
        check(asking.post("/labels", json=labels), 503)


def test_a_full_service_says_so_to_the_origin(own_home: Path) -> None:
    cors = {"enabled": True, "access_control_allow_origins": [ORIGIN]}
    marmita = {"workers": 1, "traffic": {"max_concurrency": 1, "timeout": 30}}
    overrides = json.dumps({"services": {"http": {"cors": cors}, "Marmita": marmita}})
    with serve(own_home, BENTOML_CONFIG_OVERRIDES=overrides) as server:
        answers = _at_once(server, 12)

    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        check(answer, answer.status_code)


def _at_once(server: Server, count: int) -> list[httpx.Response]:
    from concurrent.futures import ThreadPoolExecutor

    def ask(_: int) -> httpx.Response:
        request = {"wines": wines(1)["wines"] * 5_000}
        return httpx.post(f"{server.url}{SCORE}", json=request, headers={"origin": ORIGIN}, timeout=30)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_other_origins_are_not_named(opened: Server) -> None:
    for path in GETS:
        answer = httpx.get(f"{opened.url}{path}", headers={"origin": OTHER}, timeout=30)
        assert ALLOWED not in answer.headers


@pytest.mark.parametrize("path", [*POSTS, *GETS])
def test_nothing_is_allowed_unless_it_is_configured(colocated: Server, path: str) -> None:
    asked = preflight(colocated, path)
    got = httpx.get(f"{colocated.url}{path}", headers={"origin": ORIGIN}, timeout=30)

    assert asked.status_code == 405
    for answer in (asked, got):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_options_without_an_origin_are_not_allowed_either(opened: Server) -> None:
    answer = httpx.options(f"{opened.url}{SCORE}", timeout=30)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
