"""The services in this process, behind a real ASGI client."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.testclient import TestClient

from marmita import discovery
from marmita.registry.packed_model import PackedModel


@pytest.fixture(scope="session")
def services(champions: dict[str, PackedModel]) -> dict[str, Any]:
    """All services by name. They can be imported only when there are models to serve."""
    from service import Marmita

    return {name: discovery.service(name) for name in discovery.names()} | {"marmita": Marmita}


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
    """The front, with colocated models."""
    with opened(services["marmita"]) as client:
        yield client
