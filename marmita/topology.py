"""Where the runners live. The front door asks them in the same way in both topologies."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
from bentoml.exceptions import ServiceUnavailable
from opentelemetry import baggage, context

from marmita import logs
from marmita.runner import Runner

PATIENCE_S = 2.0
"""How long a runner in another process may take to say that it is ready."""

T = TypeVar("T")


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
