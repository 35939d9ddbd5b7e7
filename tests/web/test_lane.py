"""The lane: one way to all routes."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from bentoml.exceptions import BentoMLConfigException, InvalidArgument, ServiceUnavailable
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY
from starlette.applications import Starlette

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call, Reply, Route, RouteTemplate
from marmita.telemetry import metrics
from marmita.telemetry.spans import TracedSpans
from marmita.web.lane import Lane
from tests.messages import mentions
from tests.telemetry.bentoml_app import application
from tests.web.fronts import ASK, INFER, call, echo, lane


async def asked(found: Lane, path: str = ASK, method: str = "POST") -> Reply:
    at = found.find(path)
    assert at is not None
    return await found.answer(at, call(b"[1]", method))


def test_a_version_s_paths_are_those_of_its_model_while_it_is_served() -> None:
    version = "v1"
    found = lane(versions={"trees": lambda: version})

    of_v1 = found.find("/v2/models/trees/versions/v1/infer")
    assert of_v1 is not None
    assert of_v1 is found.find(INFER)
    assert of_v1.endpoint == INFER  # the number of names in metrics is fixed
    assert found.find("/v2/models/trees/versions/v1") is found.find("/v2/models/trees")
    assert found.find("/v2/models/trees/versions/v2/infer") is None

    version = "v2"
    assert found.find("/v2/models/trees/versions/v1/infer") is None
    assert found.find("/v2/models/trees/versions/v2/infer") is found.find(INFER)


@pytest.mark.parametrize("path", ["/nowhere", "/ask/", "/ASK", "/v2/models/other/versions/v1", "/v2/models/trees/x"])
def test_nothing_is_found_where_there_is_nothing(path: str) -> None:
    assert lane().find(path) is None


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", ASK, 200, None),
        ("GET", ASK, 405, b"POST"),
        ("HEAD", ASK, 405, b"POST"),
        ("DELETE", INFER, 405, b"POST"),
        ("GET", "/livez", 200, None),
        ("HEAD", "/livez", 200, None),
        ("POST", "/livez", 405, b"GET"),
    ],
)
async def test_only_the_route_s_method_is_allowed(method: str, path: str, status: int, allow: bytes | None) -> None:
    reply = await asked(lane(), path, method)

    assert reply.status == status
    assert dict(reply.headers).get(b"allow") == allow


async def test_a_path_may_have_a_route_for_each_method() -> None:
    async def tell(one: Call) -> Reply:
        return Reply(200, one.scope["method"].encode())

    def one(method: str) -> RouteTemplate:
        return RouteTemplate("/things/{id}", {"id": "[0-9]+"}, lambda **_: Route(method, tell))

    found = lane({"/things": Route("GET", tell)})
    found.add({"/things": Route("POST", tell)}, [one("GET"), one("DELETE")])

    for path, methods in (("/things", ("GET", "POST")), ("/things/12", ("GET", "DELETE"))):
        for method in methods:
            assert (await asked(found, path, method)).body == method.encode()
        at = found.find(path)
        assert at is not None
        assert at.endpoint == path.replace("12", "{id}")
        rejected = await asked(found, path, "PUT")
        assert (rejected.status, dict(rejected.headers)[b"allow"]) == (405, ", ".join(methods).encode())
    assert found.find("/things/x") is None
    with pytest.raises(BentoMLConfigException):
        found.add({"/things": Route("POST", tell)})


async def test_who_takes_too_long_costs_no_one_else() -> None:
    async def wait(one: Call) -> Reply:
        if one.body == b"wait":
            await asyncio.sleep(30)
        return Reply(200, one.body)

    routes = {ASK: Route("POST", wait), INFER: Route("POST", wait)}
    found = lane(routes, timeout_s=0.2)
    typed, tensors = found.find(ASK), found.find(INFER)
    assert typed
    assert tensors
    late, late_tensors, other = await asyncio.gather(
        found.answer(typed, call(b"wait")), found.answer(tensors, call(b"wait")), found.answer(typed, call(b"1"))
    )
    after = await found.answer(typed, call(b"2"))

    assert late.status == late_tensors.status == 504
    content = json.loads(late.body)
    assert (content["code"], content["detail"]) == ("deadline_exceeded", [])
    assert mentions(content["error"], 0.2)
    assert json.loads(late_tensors.body) == {"error": content["error"]}
    assert [other.body, after.body] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ServiceUnavailable("the model is away"), 503, "model_unavailable"),
        (RequestError(ErrorCode.MODEL_OVERLOADED, "later"), 503, "model_overloaded"),
        (InvalidArgument("not like this"), 400, "invalid_request"),
        (RuntimeError("the secret"), 500, "internal"),
        (ValueError("the secret"), 500, "internal"),
    ],
)
async def test_a_handler_that_fails_is_answered_for(error: Exception, status: int, code: str) -> None:
    async def fails(_: Call) -> Reply:
        raise error

    found = lane({ASK: Route("POST", fails), INFER: Route("POST", fails)})
    in_full, in_short = await asked(found), await asked(found, INFER)

    assert in_full.status == in_short.status == status
    content = json.loads(in_full.body)
    assert content["code"] == code
    assert json.loads(in_short.body) == {"error": content["error"]}
    assert "secret" not in content["error"]
    assert (b"retry-after" in dict(in_full.headers)) is (status == 503)


# Metrics.


@pytest.fixture
def counted() -> Iterator[Starlette]:
    with application("test_lane") as app:
        yield app


def sample(name: str, endpoint: str, status: int | None = None) -> float:
    metrics.write()
    found = [
        each.value
        for family in REGISTRY.collect()
        for each in family.samples
        if each.name == f"test_lane_{name}"
        and each.labels["endpoint"] == endpoint
        and (status is None or each.labels["http_response_code"] == str(status))
    ]
    return sum(found)


async def test_requests_are_counted_by_route_and_status(counted: Starlette) -> None:
    waiting = asyncio.Event()

    async def wait(_: Call) -> Reply:
        await waiting.wait()
        raise ServiceUnavailable("later")

    found = lane({ASK: Route("POST", wait), INFER: Route("POST", echo)}, app=counted)
    asking = asyncio.create_task(asked(found))
    await asyncio.sleep(0)
    in_progress = sample("request_in_progress", ASK)
    waiting.set()
    await asking
    await asked(found, "/v2/models/trees/versions/v1/infer")
    await asked(found, INFER, "GET")

    assert in_progress == 1
    assert sample("request_in_progress", ASK) == 0
    assert sample("request_total", ASK, 503) == 1
    assert sample("request_total", INFER, 200) == 1
    assert sample("request_total", INFER, 405) == 1
    assert sample("request_duration_seconds_count", ASK, 503) == 1


async def test_a_request_whose_client_is_gone_is_counted_as_ended(counted: Starlette) -> None:
    async def wait(_: Call) -> Reply:
        await asyncio.sleep(30)
        raise AssertionError

    found = lane({ASK: Route("POST", wait)}, app=counted)
    asking = asyncio.create_task(asked(found))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert sample("request_in_progress", ASK) == 0
    assert sample("request_total", ASK, 500) == 1


# Spans.


async def test_each_request_is_a_span_of_its_route() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    found = lane(spans=TracedSpans(provider.get_tracer("test")))

    await asked(found)
    await asked(found, "/v2/models/trees/versions/v1/infer")
    await asked(found, "/livez", "GET")
    await asked(found, "/broken")

    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == [f"POST {ASK}", f"POST {INFER}", "GET /livez", "POST /broken"]
    assert [span.attributes and span.attributes["http.response.status_code"] for span in spans] == [200, 200, 200, 500]
    assert len({span.context.trace_id for span in spans if span.context}) == 4
