"""The services in this process, behind a real ASGI client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.testclient import TestClient

from marmita.registry.packed_model import PackedModel

SERVICES = {
    "fetal_health": ("bentos.fetal_health.service", "FetalHealth"),
    "wine_quality": ("bentos.wine_quality.service", "WineQuality"),
    "stock_forecast": ("bentos.stock_forecast.service", "StockForecast"),
    "marmita": ("service", "Marmita"),
}


@pytest.fixture(scope="session")
def services(champions: dict[str, PackedModel]) -> dict[str, Any]:
    """All services by name. They can be imported only when there are models to serve."""
    from importlib import import_module

    return {name: getattr(import_module(module), attr) for name, (module, attr) in SERVICES.items()}


@contextmanager
def opened(service: Any) -> Iterator[TestClient]:
    """A client of a service in this process. BentoML registers its own metrics anew with each application."""
    for collector in list(REGISTRY._collector_to_names):
        if any(name.startswith("bentoml_") for name in REGISTRY._collector_to_names[collector]):
            REGISTRY.unregister(collector)
    with TestClient(service.to_asgi()) as client:
        yield client


@pytest.fixture(scope="session")
def client(services: dict[str, Any]) -> Iterator[TestClient]:
    """The front door, colocated."""
    with opened(services["marmita"]) as client:
        yield client
