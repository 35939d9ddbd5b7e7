"""Where the runners live. The front door asks them in the same way in both topologies."""

import asyncio
import os
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

import aiohttp
import bentoml
from _bentoml_sdk.service.dependency import Dependency
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.utils.uri import path_to_uri, uri_to_path
from bentoml.exceptions import ServiceUnavailable
from opentelemetry import baggage, context

from marmita.oip.routes import PATIENCE_S, LocalModel, Model, RemoteModel
from marmita.runtime.runner import Runner
from marmita.telemetry import logs

T = TypeVar("T")


def hold_on() -> None:
    """Keep the runners' sockets within reach.

    BentoML removes their files as soon as it is told to end, while there are still requests to be answered. Through a
    descriptor that this process holds, a socket can be reached without its file.
    """
    addresses = dict(BentoMLContainer.remote_runner_mapping.get())
    for name, address in addresses.items():
        if address.startswith(("file:", "unix:")):
            held = os.open(uri_to_path(address), os.O_PATH)
            addresses[name] = path_to_uri(f"/proc/self/fd/{held}")
    BentoMLContainer.remote_runner_mapping.set(addresses)


def tensor_models(dependencies: Iterable[Dependency[Any]]) -> dict[str, Model]:
    """Who answers the tensor routes for each model: a runner in this process, or one elsewhere."""
    service: Any = bentoml.get_current_service()
    if isinstance(service, Runner):
        return {service.served.packed.name: LocalModel(service)}
    addresses = BentoMLContainer.remote_runner_mapping.get()
    found: dict[str, Model] = {}
    for dependency in dependencies:
        runner: Any = dependency.get()
        if isinstance(runner, Runner):
            found[runner.served.packed.name] = LocalModel(runner)
        else:
            assert dependency.on is not None
            (model,) = dependency.on.models
            name = model.resolve().tag.name
            found[name] = RemoteModel(name, addresses[dependency.on.name])
    return found


async def ask(answer: Awaitable[T]) -> T:
    """Wait for a runner's answer. One that can't be reached is about to be started again: that is a 503.

    The request's id goes along as OpenTelemetry's baggage, which BentoML hands to runners in other processes.
    """
    token = context.attach(baggage.set_baggage(logs.REQUEST_ID, logs.request_id.get()))
    try:
        return await answer
    except (aiohttp.ClientError, OSError) as error:
        raise ServiceUnavailable("the model is not answering: try again in a moment") from error
    finally:
        context.detach(token)


async def ready(*runners: Any) -> bool:
    """Whether all runners can answer, wherever they live."""
    return all(await asyncio.gather(*(_ready(runner) for runner in runners)))


async def _ready(runner: Any) -> bool:
    if isinstance(runner, Runner):
        return await runner.__is_ready__()
    try:
        async with asyncio.timeout(PATIENCE_S):
            return bool(await runner.is_ready())
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
