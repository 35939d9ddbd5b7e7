"""The Open Inference Protocol's routes, `/v2` and below: the way in for machines."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import BYTES, JSON, JSON_OR_BYTES, Call, Handler, Reply, Route, json_reply
from marmita.oip.codec import read, write
from marmita.runtime.runner import Runner

JSON_SIZE = b"inference-header-content-length"
"""The header that says how much of a body is JSON. What follows is tensors."""

_EXTENSIONS = ["binary_tensor_data"]
_LONGEST_SIZE = 18
"""A number of bytes with more digits is none, and one with thousands of them is more than Python reads."""


def has_error_details(path: str) -> bool:
    """Tell whether errors at a path have a code and details: the protocol knows the sentence alone."""
    return not (path == "/v2" or path.startswith("/v2/"))


def model_path(model: str) -> str:
    return f"/v2/models/{model}"


def ready_path(model: str) -> str:
    return f"{model_path(model)}/ready"


def model_routes(model: str, handle: Handler) -> dict[str, Route]:
    """Return the routes of a model, all of which one handler answers."""
    path = model_path(model)
    return {
        path: Route("GET", handle),
        f"{path}/ready": Route("GET", handle),
        f"{path}/infer": Route("POST", handle, JSON_OR_BYTES),
    }


def server_routes(service: str, version: str, ready: Callable[[], Awaitable[bool]]) -> dict[str, Route]:
    """Return the routes that are about the server."""
    about = {"name": service, "version": version, "extensions": _EXTENSIONS}

    async def describe(_: Call) -> Reply:
        return json_reply(about)

    async def is_live(_: Call) -> Reply:
        return json_reply({"live": True})

    async def is_ready(_: Call) -> Reply:
        return readiness(await ready())

    return {
        "/v2": Route("GET", describe),
        "/v2/health/live": Route("GET", is_live),
        "/v2/health/ready": Route("GET", is_ready),
    }


def handlers(model: str, runner: Runner) -> Mapping[str, Handler]:
    """Return what answers for a model whose runner lives in this process."""

    async def describe(_: Call) -> Reply:
        return json_reply(runner.served.signature.describe())

    async def ready(_: Call) -> Reply:
        return readiness(await runner.__is_ready__(), name=model)

    async def infer(call: Call) -> Reply:
        asked = read(call.body, json_size(call.headers, len(call.body)), runner.served.signature)
        predicted = await runner.predict(asked.rows)
        content, size = write(asked, predicted.outputs, predicted.by.signature, predicted.kept)
        if size is None:
            return Reply(HTTPStatus.OK, content)
        return Reply(HTTPStatus.OK, content, BYTES, ((JSON_SIZE, b"%d" % size),))

    path = model_path(model)
    return {path: describe, f"{path}/ready": ready, f"{path}/infer": infer}


def json_size(headers: Mapping[bytes, bytes], body: int) -> int | None:
    """Return how many bytes of a body are JSON, if not all of them are."""
    said = headers.get(JSON_SIZE)
    if said is None:
        return None
    if not said.isdigit() or len(said) > _LONGEST_SIZE or int(said) > body:
        name = JSON_SIZE.decode()
        raise RequestError(ErrorCode.INVALID_REQUEST, f"{name} must be a number of bytes within the body")
    return int(said)


def is_of_version(path: str) -> bool:
    """Tell whether a path names a version of a model."""
    return path.startswith("/v2/models/") and "/versions/" in path


def canonical(path: str, versions: Mapping[str, Callable[[], str]]) -> str | None:
    """Return the path of a model for that of its version, as long as that version is served."""
    if not path.startswith("/v2/models/"):
        return None
    model, _, rest = path.removeprefix("/v2/models/").partition("/versions/")
    version, slash, what = rest.partition("/")
    if model in versions and version == versions[model]():
        return f"{model_path(model)}{slash}{what}"
    return None


def relayed(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """Return the content type of another process's answer, and those of its headers that belong to the protocol."""
    content_type, kept = JSON, []
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name in (JSON_SIZE, b"retry-after"):
            kept.append((name, value))
    return content_type, tuple(kept)


def readiness(ready: bool, **of: str) -> Reply:
    """Return the answer to whether something is ready."""
    if not ready:
        raise RequestError(ErrorCode.MODEL_UNAVAILABLE, "not ready: try again in a moment")
    return json_reply({**of, "ready": True})
