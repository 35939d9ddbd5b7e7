"""The Open Inference Protocol's routes, in front of a model that lives in this process."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from bentoml.exceptions import ServiceUnavailable

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call, Reply, Route
from marmita.oip.routes import JSON_SIZE, canonical, handlers, json_size, model_routes, relayed, server_routes
from marmita.registry.packed_model import PackedModel
from marmita.runtime.runner import Runner
from tests.messages import mentions
from tests.web.fronts import front, to

INFER = "/v2/models/wine_quality/infer"
OVERLOADED = "trees: overloaded"


async def broken() -> bool:
    raise RuntimeError("the secret")


async def not_ready() -> bool:
    return False


async def is_ready() -> bool:
    return True


async def overloaded(_: Call) -> Reply:
    raise ServiceUnavailable(OVERLOADED)


def about_server(ready: Any = is_ready) -> dict[str, Route]:
    return server_routes("Trees", "7", ready)


@pytest.fixture
def runner(champions: Mapping[str, PackedModel]) -> Runner:
    from bentos.wine_quality import WineQuality

    service: Any = WineQuality
    found: Runner = service.inner()
    return found


@pytest.fixture
async def client(runner: Runner) -> AsyncIterator[httpx.AsyncClient]:
    answering = handlers("wine_quality", runner)
    routes = model_routes("wine_quality", overloaded)
    async with to(front({path: route._replace(handle=answering[path]) for path, route in routes.items()})) as client:
        yield client


def request(rows: int = 1, **top: Any) -> bytes:
    tensor = {"name": "features", "shape": [rows, 11], "datatype": "FP32", "data": [1.0] * 11 * rows}
    return json.dumps({"inputs": [tensor], **top}).encode()


async def test_a_model_says_what_it_takes(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v2/models/wine_quality")

    assert answer.json()["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 11]}]


async def test_a_model_that_answers_its_sample_is_ready(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v2/models/wine_quality/ready")

    assert answer.json() == {"name": "wine_quality", "ready": True}


@pytest.mark.parametrize("rows", [1, 3])
async def test_outputs_are_those_of_the_model(client: httpx.AsyncClient, runner: Runner, rows: int) -> None:
    answer = await client.post(INFER, content=request(rows, id="7"))

    expected = runner.served.model(np.ones((rows, 11), np.float32))
    found = [output["data"] for output in answer.json()["outputs"]]
    np.testing.assert_allclose(np.array(found).T, expected, rtol=1e-5)
    assert answer.json()["id"] == "7"
    assert answer.headers["content-type"] == "application/json"
    assert JSON_SIZE.decode() not in answer.headers


async def test_outputs_in_bytes_say_how_much_of_the_answer_is_json(client: httpx.AsyncClient, runner: Runner) -> None:
    head = request(parameters={"binary_data_output": True})
    headers = {"content-type": "application/octet-stream", JSON_SIZE.decode(): str(len(head))}
    answer = await client.post(INFER, content=head, headers=headers)

    size = int(answer.headers[JSON_SIZE.decode()])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert [output["parameters"] for output in json.loads(answer.content[:size])["outputs"]] == [
        {"binary_data_size": 4}
    ] * 3
    expected = runner.served.model(np.ones((1, 11), np.float32))
    np.testing.assert_allclose(np.frombuffer(answer.content[size:], "<f4"), expected[0], rtol=1e-5)


SIZES = ["", "-1", "+1", "1.0", "0x1", "x", "6", "9" * 18, "9" * 19, "9" * 5000, "²"]


@pytest.mark.parametrize("size", SIZES)
async def test_a_size_that_is_none_is_rejected(client: httpx.AsyncClient, size: str) -> None:
    answer = await client.post(INFER, content=b"12345", headers={JSON_SIZE: size.encode()})

    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert mentions(answer.json()["error"], JSON_SIZE.decode())


@pytest.mark.parametrize(("said", "size"), [(None, None), (b"0", 0), (b"3", 3), (b"5", 5), (b"005", 5)])
def test_a_size_within_the_body_is_read(said: bytes | None, size: int | None) -> None:
    assert json_size({} if said is None else {JSON_SIZE: said}, 5) == size


async def test_the_server_says_what_it_is() -> None:
    async with to(front(about_server())) as client:
        about, live, ready = [
            (await client.get(path)).json() for path in ("/v2", "/v2/health/live", "/v2/health/ready")
        ]

    assert about == {"name": "Trees", "version": "7", "extensions": ["binary_tensor_data"]}
    assert (live, ready) == ({"live": True}, {"ready": True})


@pytest.mark.parametrize(
    ("method", "path", "status", "named"),
    [
        ("GET", "/v2/models/trees", 503, [OVERLOADED]),
        ("GET", "/v2/models/trees/ready", 503, [OVERLOADED]),
        ("GET", "/v2/health/ready", 500, []),
        ("GET", "/v2/models/trees/infer", 405, ["POST"]),
        ("DELETE", "/v2/models/trees", 405, ["GET"]),
        ("POST", "/v2", 405, ["GET"]),
        ("GET", "/v2/models/trees/versions/v2", 404, []),
        ("POST", "/v2/models/trees/versions/v1/infer", 503, [OVERLOADED]),
    ],
)
async def test_errors_have_the_protocol_s_shape(method: str, path: str, status: int, named: list[str]) -> None:
    async with to(front(about_server(broken) | model_routes("trees", overloaded))) as client:
        answer = await client.request(method, path)

    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert answer.json()["error"]
    assert mentions(answer.json()["error"], *named)
    assert "secret" not in answer.text
    assert answer.headers.get("allow") == (named[0] if status == 405 else None)
    assert ("retry-after" in answer.headers) is (status == 503)


async def test_a_server_that_is_not_ready_is_a_503() -> None:
    async with to(front(about_server(not_ready))) as client:
        answer = await client.get("/v2/health/ready")

    assert answer.status_code == 503
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v2/models/trees/versions/v1", "/v2/models/trees"),
        ("/v2/models/trees/versions/v1/ready", "/v2/models/trees/ready"),
        ("/v2/models/trees/versions/v1/infer", "/v2/models/trees/infer"),
        ("/v2/models/trees/versions/v1/", "/v2/models/trees/"),
        ("/v2/models/trees/versions/v2/infer", None),
        ("/v2/models/trees/versions/", None),
        ("/v2/models/other/versions/v1", None),
        ("/v2/models/trees", None),
        ("/v2/modelz/trees/versions/v1", None),
        ("/ask", None),
    ],
)
def test_the_path_of_a_version_is_that_of_its_model(path: str, found: str | None) -> None:
    assert canonical(path, {"trees": lambda: "v1"}) == found


def test_of_another_process_s_answer_the_protocol_s_headers_are_kept() -> None:
    headers = [(b"content-type", b"a/b"), (JSON_SIZE, b"3"), (b"retry-after", b"1"), (b"x-request-id", b"1")]

    assert relayed([*headers, (b"connection", b"close")]) == (b"a/b", ((JSON_SIZE, b"3"), (b"retry-after", b"1")))
    assert relayed([]) == (b"application/json", ())


def test_a_size_that_is_none_is_an_error_of_the_request() -> None:
    with pytest.raises(RequestError) as rejected:
        json_size({JSON_SIZE: b"6"}, 5)

    assert rejected.value.code == ErrorCode.INVALID_REQUEST
    assert mentions(rejected.value.error, JSON_SIZE.decode())
