"""The models with code: each module of `bentos` holds the service of a model, and that of `training` how it is made.

This is the one place where the framework imports by name. Nothing else in it knows which models there are.
"""

import importlib
import pkgutil
from functools import cache
from typing import Any, TypeVar

import bentoml

from marmita.runtime.endpoints import Endpoint, declared, endpoints_of
from marmita.runtime.runner import Runner, model_name

PACKAGE = "bentos"
SCRIPTS = "training"

T = TypeVar("T")


class DiscoveryError(Exception):
    """A module in `bentos` does not hold the service of a model."""


@cache
def names() -> tuple[str, ...]:
    """Return the names of all models with code, in the order of the alphabet. Their modules are not imported."""
    try:
        package = importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
        return ()
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_"))


@cache
def service(name: str) -> bentoml.Service[Any]:
    """Return the service of a model."""
    module = importlib.import_module(f"{PACKAGE}.{name}")
    found = [one for one in vars(module).values() if isinstance(one, bentoml.Service) and issubclass(one.inner, Runner)]
    if [model_name(one.inner) for one in found] != [name]:
        held = ", ".join(one.name for one in found) or "none"
        raise DiscoveryError(
            f"{PACKAGE}/{name} must hold one service, the model's, named as the file is: it has {held}"
        )
    return found[0]


def runner(name: str) -> type[Runner]:
    """Return the class of a model's runner."""
    inner: type[Runner] = service(name).inner
    return inner


def training(name: str) -> Any:
    """Return how a model is made: the `TRAINING` of the module in `training` that has its name."""
    module = importlib.import_module(f"{SCRIPTS}.{name}")
    if not hasattr(module, "TRAINING"):
        raise DiscoveryError(f"{SCRIPTS}/{name} must hold TRAINING, how the model {name} is made")
    return module.TRAINING


def every_model(front: type[T]) -> type[T]:
    """Compose all models with code into one service: each is a dependency, and each of its routes is the front's."""
    for name in names():
        setattr(front, name, bentoml.depends(service(name)))
        for endpoint in endpoints_of(runner(name)).values():
            setattr(front, endpoint.operation, _forwarded(name, endpoint))
    return front


def _forwarded(name: str, endpoint: Endpoint) -> Any:
    async def forward(front: Any, **fields: Any) -> Any:
        return await getattr(getattr(front, name).to_async, endpoint.operation)(**fields)

    return declared(forward, endpoint)
