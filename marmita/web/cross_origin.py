"""CORS for every route of a service, from `http.cors` of the configuration."""

from collections.abc import Callable, Mapping
from typing import Any

from bentoml.exceptions import BentoMLConfigException
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from marmita.oip.routes import JSON_SIZE
from marmita.telemetry.logs import REQUEST_ID

_SIZE = JSON_SIZE.decode()
_DEFAULTS = {
    "allow_methods": ["DELETE", "GET", "POST"],
    "allow_headers": ["Authorization", "Content-Type", REQUEST_ID, _SIZE],
}
"""The methods and request headers that the routes of a service accept."""
_EXPOSED = [REQUEST_ID, _SIZE, "Retry-After"]
"""The response headers that a page may read."""


def allow_origins(app: ASGIApp, options: Mapping[str, Any]) -> ASGIApp:
    """Return an application that answers pages of the given origins. The options are those of Starlette."""
    if not (options.get("allow_origins") or options.get("allow_origin_regex")):
        raise BentoMLConfigException("http.cors is enabled, but names no origin: set access_control_allow_origins")
    return _middleware(app, options)


def allows_origin(options: Mapping[str, Any]) -> Callable[[str], bool]:
    """Return the function that tells whether pages of an origin are answered."""
    return _middleware(Starlette(), options).is_allowed_origin


def _middleware(app: ASGIApp, options: Mapping[str, Any]) -> CORSMiddleware:
    exposed = [*_EXPOSED, *options.get("expose_headers", [])]
    return CORSMiddleware(app, **{**_DEFAULTS, **options, "expose_headers": exposed})
