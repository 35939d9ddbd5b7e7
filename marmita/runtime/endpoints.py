"""Endpoints: the typed JSON routes of a runner, declared once for BentoML, OpenAPI and the request path."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from marmita.contract.answers import Answer
from marmita.contract.requests import RequestBody

RunnerMethod = Callable[[Any, Any], Awaitable[Any]]
"""A runner's method that takes a parsed request and returns the answer in plain values."""


@dataclass(frozen=True)
class Endpoint:
    """One typed route. It takes a `request` and returns an `answer`, or one for each row."""

    path: str
    operation: str
    """The operation's name in OpenAPI, and the method that BentoML's clients call."""
    about: str
    request: type[RequestBody]
    answer: type[Answer]
    many: bool
    handle: RunnerMethod
    read: Callable[[bytes], Any]
    """Parses a request body into the handler's argument. Raises a ValidationError for an invalid body."""
    take: Callable[[Any], Any]
    """Converts a validated request into the handler's argument."""


def endpoint(
    path: str,
    request: type[RequestBody],
    answer: type[Answer],
    *,
    many: bool,
) -> Callable[[RunnerMethod], Any]:
    """Declare a runner's method as a typed route. The method takes the validated request."""

    def decorate(handle: RunnerMethod) -> Any:
        return api(
            Endpoint(
                path=path,
                operation=handle.__name__,
                about=inspect.cleandoc(handle.__doc__ or ""),
                request=request,
                answer=answer,
                many=many,
                handle=handle,
                read=request.model_validate_json,
                take=lambda validated: validated,
            )
        )

    return decorate


def api(endpoint: Endpoint) -> Any:
    """Return the BentoML API of an endpoint, which declares the route and its input to BentoML and its clients."""

    async def call(runner: Any, **fields: Any) -> Any:
        return await endpoint.handle(runner, endpoint.take(endpoint.request.model_construct(**fields)))

    return declared(call, endpoint)


def declared(call: Callable[..., Awaitable[Any]], endpoint: Endpoint) -> Any:
    """Return a BentoML API that has the endpoint's declaration and calls this function."""
    call.__name__ = endpoint.operation
    call.__doc__ = endpoint.about
    answer: Any = list[endpoint.answer] if endpoint.many else endpoint.answer  # type: ignore[name-defined]
    call.__annotations__["return"] = Annotated[answer, ContentType("application/json")]
    call.endpoint = endpoint  # type: ignore[attr-defined]
    return bentoml.api(call, route=endpoint.path, input_spec=endpoint.request)


@cache
def endpoints_of(service_class: type) -> Mapping[str, Endpoint]:
    """Return the endpoints of a service's class by path."""
    methods = (getattr(service_class, name) for name in dir(service_class))
    found = (getattr(getattr(method, "func", None), "endpoint", None) for method in methods)
    return {one.path: one for one in found if isinstance(one, Endpoint)}
