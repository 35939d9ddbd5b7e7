"""Discovery of models: a module of `bentos` has a model's service, and that of `training` its training.

Only this module imports models, by name. Commands show the names in their help without importing the models, and so
without importing BentoML.
"""

import importlib
import pkgutil
import traceback
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import bentoml

    from marmita.runtime.endpoints import Endpoint
    from marmita.runtime.runner import Runner

PACKAGE = "bentos"
SCRIPTS = "training"

T = TypeVar("T")


class DiscoveryError(Exception):
    """An error in a model's module: it is missing, can't be imported, or lacks a required object."""


@cache
def names() -> tuple[str, ...]:
    """Return the names of all models in alphabetical order, without importing their modules."""
    try:
        package = importlib.import_module(PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
        return ()
    return tuple(sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_"))


@cache
def service(name: str) -> "bentoml.Service[Any]":
    """Return the service of a model."""
    import bentoml

    from marmita.runtime.runner import Runner, model_name

    module = _import(PACKAGE, name)
    found = [one for one in vars(module).values() if isinstance(one, bentoml.Service) and issubclass(one.inner, Runner)]
    if [model_name(one.inner) for one in found] != [name]:
        held = ", ".join(one.name for one in found) or "none"
        raise DiscoveryError(
            f"{PACKAGE}/{name} must hold one service, the model's, named as the file is: it has {held}"
        )
    return found[0]


def runner(name: str) -> "type[Runner]":
    """Return the class of a model's runner."""
    inner: type[Runner] = service(name).inner
    return inner


def training(name: str) -> Any:
    """Return the training of a model: the `TRAINING` of its module in `training`."""
    module = _import(SCRIPTS, name)
    if not hasattr(module, "TRAINING"):
        raise DiscoveryError(f"{SCRIPTS}/{name} must hold TRAINING, how the model {name} is made")
    return module.TRAINING


def traffic(name: str) -> Any:
    """Return the class `Traffic` of a model's module `traffic`, or None if there is no such module."""
    package = _import(PACKAGE, name)
    if not hasattr(package, "__path__") or find_spec(f"{package.__name__}.traffic") is None:
        return None
    return _import(PACKAGE, f"{name}.traffic").Traffic


def data() -> Path:
    """Return the folder of the data sets."""
    return Path(next(iter(importlib.import_module(SCRIPTS).__path__))) / "data"


def every_model(front: type[T]) -> type[T]:
    """Compose all models into one service, with each model as a dependency and with all of their routes."""
    import bentoml

    from marmita.runtime.endpoints import endpoints_of

    taken: dict[str, str] = {}
    for name in names():
        setattr(front, name, bentoml.depends(service(name)))
        for endpoint in endpoints_of(runner(name)).values():
            for what in (endpoint.path, endpoint.operation):
                if taken.setdefault(what, name) != name:
                    raise DiscoveryError(
                        f"{taken[what]} and {name} both have {what}: each route and name must be one's own"
                    )
            setattr(front, endpoint.operation, _forwarder(name, endpoint))
    return front


def _forwarder(name: str, endpoint: "Endpoint") -> Any:
    from marmita.runtime.endpoints import declared

    async def forward(front: Any, **fields: Any) -> Any:
        return await getattr(getattr(front, name).to_async, endpoint.operation)(**fields)

    return declared(forward, endpoint)


def _import(package: str, name: str) -> ModuleType:
    """Import the module of a model. Raise an error that names the file and the line of a failure."""
    try:
        return importlib.import_module(f"{package}.{name}")
    except DiscoveryError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == f"{package}.{name}":
            raise DiscoveryError(f"there is no {package}/{name}.py") from None
        raise DiscoveryError(
            f"{package}/{name} can't be imported: {_place(error)}: {type(error).__name__}: {error}"
        ) from error


def _place(error: Exception) -> str:
    """Return the file and the line in the model's code at which an error was raised."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if {PACKAGE, SCRIPTS} & set(Path(frame.filename).parts)]
    last = (own or frames)[-1]
    return f"{last.filename}, line {last.lineno}"
