"""What `http.cors` allows is what is configured, and by default what the routes take."""

from typing import Any

import httpx
import pytest
from bentoml.exceptions import BentoMLConfigException

from marmita.web.cross_origin import allow_origins
from tests.web.fronts import ASK, front, to

ORIGIN = "https://page.example"


async def preflight(method: str, headers: str, **options: Any) -> httpx.Response:
    asked = {"access-control-request-method": method, "access-control-request-headers": headers}
    async with to(allow_origins(front(), {"allow_origins": [ORIGIN], **options})) as asking:
        return await asking.options(ASK, headers={"origin": ORIGIN} | asked)


@pytest.mark.parametrize(
    ("method", "headers", "options", "status"),
    [
        ("POST", "content-type, authorization", {}, 200),
        ("GET", "x-request-id, inference-header-content-length", {}, 200),
        ("DELETE", "authorization", {}, 200),
        ("PATCH", "content-type", {}, 400),
        ("POST", "x-other", {}, 400),
        ("POST", "x-other", {"allow_headers": ["x-other"]}, 200),
        ("POST", "content-type", {"allow_methods": ["GET"]}, 400),
        ("PATCH", "content-type", {"allow_methods": ["PATCH"]}, 200),
    ],
)
async def test_the_configuration_wins_over_what_the_routes_take(
    method: str, headers: str, options: dict[str, Any], status: int
) -> None:
    assert (await preflight(method, headers, **options)).status_code == status


async def test_headers_that_the_configuration_exposes_are_exposed_as_well() -> None:
    app = allow_origins(front(), {"allow_origins": [ORIGIN], "expose_headers": ["x-own"]})
    async with to(app) as asking:
        answer = await asking.post(ASK, json={}, headers={"origin": ORIGIN})

    exposed = {name.lower() for name in answer.headers["access-control-expose-headers"].split(", ")}
    assert exposed == {"x-request-id", "inference-header-content-length", "retry-after", "x-own"}


async def test_origins_may_be_a_pattern() -> None:
    async with to(allow_origins(front(), {"allow_origin_regex": r"https://.*\.example"})) as asking:
        answers = [
            await asking.post(ASK, json={}, headers={"origin": origin}) for origin in (ORIGIN, "https://page.test")
        ]

    assert [answer.headers.get("access-control-allow-origin") for answer in answers] == [ORIGIN, None]


def test_a_configuration_that_names_no_origin_is_an_error() -> None:
    with pytest.raises(BentoMLConfigException, match="access_control_allow_origins"):
        allow_origins(front(), {"allow_headers": ["content-type"]})
