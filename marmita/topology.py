"""Where the runners live. The front door asks them in the same way in both topologies."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp

from bentoml.exceptions import ServiceUnavailable
from marmita.runner import Runner

T = TypeVar("T")


async def ask(answer: Awaitable[T]) -> T:
    """Wait for a runner's answer. One that can't be reached is about to be started again: that is a 503."""
    try:
        return await answer
    except (aiohttp.ClientError, OSError):
        raise ServiceUnavailable("the model is not answering: try again in a moment") from None


async def ready(*runners: Any) -> bool:
    """Whether the runners that live in this process can answer. BentoML asks those elsewhere by itself."""
    here = [runner for runner in runners if isinstance(runner, Runner)]
    return all(await asyncio.gather(*(runner.__is_ready__() for runner in here)))
