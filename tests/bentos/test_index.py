"""`/` says what is served, and nothing that the service answers reaches another host."""

import base64
import re
from hashlib import sha256
from html import unescape
from typing import Any

import pytest
from starlette.testclient import TestClient

from marmita.internals.bentoml_app import ServiceAppFactory
from marmita.registry.packed_model import PackedModel
from marmita.web.front import paths
from tests.bentos.conftest import opened
from tests.samples import CLASSIFY, FORECAST, SCORE

PAGE, JSON = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, {"accept": "application/json, */*"}
OF_PAGE = re.compile("/(static_content|assets)/.+")
URL = re.compile(r"(?:https?:)?//[\w.-]+", re.IGNORECASE)


def other_hosts(html: str, own: str) -> list[str]:
    return [url for url in URL.findall(unescape(html)) if url.rpartition("/")[2].lower() != own]


def test_a_url_of_another_host_is_found() -> None:
    html = '<a href="http://testserver/x">x</a> <script src="//cdn.example/a.js"></script> <img src=HTTPS&#58;//b.c>'

    assert other_hosts(html, "testserver") == ["//cdn.example", "HTTPS://b.c"]


@pytest.mark.parametrize("name", ["marmita", "wine_quality"])
def test_no_html_that_the_service_answers_reaches_another_host(services: dict[str, Any], name: str) -> None:
    with opened(services[name]) as client:
        bentomls = ServiceAppFactory(services[name], is_main=True)().routes
        known = client.get("/docs.json").json()["paths"]
        answers = {
            (path, accept["accept"]): client.get(path, headers=accept)
            for path in paths(bentomls) | set(known) | {"/docs", "/redoc", "/index.html", "/nowhere"}
            for accept in (PAGE, JSON)
        }

    html = {at: answer for at, answer in answers.items() if "html" in answer.headers["content-type"]}
    assert set(html) == {("/", PAGE["accept"])}
    assert [other_hosts(answer.text, "testserver") for answer in html.values()] == [[]]
    files = [answer.status_code for (path, _), answer in answers.items() if OF_PAGE.fullmatch(path)]
    assert len(files) > 5
    assert set(files) == {404}


@pytest.mark.parametrize("headers", [PAGE, {"accept": "*/*"}, {"accept": "text/html, application/json"}])
def test_the_page_shows_models_routes_links_and_a_command(
    client: TestClient, champions: dict[str, PackedModel], headers: dict[str, str]
) -> None:
    answer = client.get("/", headers=headers)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for packed in champions.values():
        assert f'<a href="/models/{packed.name}">{packed.tag}</a>' in answer.text
        assert f"POST /v2/models/{packed.name}/infer" in answer.text
    for route in (CLASSIFY, SCORE, FORECAST):
        assert f"POST {route}" in answer.text
    links = re.findall('href="(.*?)"', answer.text)
    assert set(links) >= {"/docs.json", "/models", "/metrics", "/readyz"}
    assert {client.get(link).status_code for link in links} == {200}
    assert "curl http://testserver/" in answer.text


def test_the_page_may_do_nothing_but_look_as_it_does(client: TestClient) -> None:
    answer = client.get("/", headers=PAGE)

    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    policy = dict(one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{base64.b64encode(sha256(style.encode()).digest()).decode()}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert not re.search("<script|<link|<img|<iframe| on[a-z]+=| style=", answer.text)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "accept"


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", "a.example'; rm -rf /; '", 'x" onload="y'])
def test_a_host_that_is_none_is_not_repeated(client: TestClient, host: str) -> None:
    answer = client.get("/", headers=PAGE | {"host": host})

    assert answer.status_code == 200
    assert host not in unescape(answer.text)
    assert "curl http://localhost/" in answer.text


def test_whoever_asks_for_json_gets_json(client: TestClient, champions: dict[str, PackedModel]) -> None:
    answer = client.get("/", headers=JSON)

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "accept"
    said = answer.json()
    assert said["name"] == "Marmita"
    assert said["links"] == ["/docs.json", "/models", "/metrics", "/readyz"]
    wine = next(model for model in said["models"] if model["name"] == "wine_quality")
    assert wine["tag"] == champions["wine_quality"].tag
    assert wine["routes"] == [SCORE, "/v2/models/wine_quality/infer"]
    assert {model["name"] for model in said["models"]} == set(champions)


def test_a_model_alone_shows_itself(services: dict[str, Any]) -> None:
    with opened(services["wine_quality"]) as client:
        assert [model["name"] for model in client.get("/", headers=JSON).json()["models"]] == ["wine_quality"]
