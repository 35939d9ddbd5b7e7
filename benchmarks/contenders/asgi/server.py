"""The upper bound over HTTP: a bare ASGI application that only reads a tensor, runs the model and sends tensors."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from benchmarks.contenders.rows import WineModel

Message = dict[str, Any]


class Tensor(msgspec.Struct):
    """A tensor of the Open Inference Protocol."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Request(msgspec.Struct):
    """A request of the Open Inference Protocol."""

    inputs: list[Tensor]


class Response(msgspec.Struct):
    """A response of the Open Inference Protocol."""

    model_name: str
    outputs: list[Tensor]


model = WineModel()
decoder = msgspec.json.Decoder(Request)
encoder = msgspec.json.Encoder()


def infer(body: bytes) -> bytes:
    tensor = decoder.decode(body).inputs[0]
    outputs = model.tensors(tensor.data, tensor.shape)
    tensors = [Tensor(name, [len(data), 1], "FP32", data) for name, data in outputs.items()]
    answer: bytes = encoder.encode(Response("wine_quality", tensors))
    return answer


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = infer(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
