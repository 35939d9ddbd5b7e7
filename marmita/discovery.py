"""The models with code: each module of `bentos` holds the service of a model, and that of `training` how it is made.

This is the one place where the framework imports by name. Nothing else in it knows which models there are. A command
asks for the names alone to show its help: BentoML is imported when a model is.
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
    """A module of a model is not there, can't be imported, or does not hold what it must."""


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
def service(name: str) -> "bentoml.Service[Any]":
    """Return the service of a model."""
    import bentoml

    from marmita.runtime.runner import Runner, model_name

    module = _imported(PACKAGE, name)
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
    """Return how a model is made: the `TRAINING` of the module in `training` that has its name."""
    module = _imported(SCRIPTS, name)
    if not hasattr(module, "TRAINING"):
        raise DiscoveryError(f"{SCRIPTS}/{name} must hold TRAINING, how the model {name} is made")
    return module.TRAINING


def traffic(name: str) -> Any:
    """Return the class `Traffic` of the module `traffic` in a model's folder, or None if there is no such module."""
    package = _imported(PACKAGE, name)
    if not hasattr(package, "__path__") or find_spec(f"{package.__name__}.traffic") is None:
        return None
    return _imported(PACKAGE, f"{name}.traffic").Traffic


def data() -> Path:
    """Return the folder of the data sets."""
    return Path(next(iter(importlib.import_module(SCRIPTS).__path__))) / "data"


def every_model(front: type[T]) -> type[T]:
    """Compose all models with code into one service: each is a dependency, and each of its routes is the front's."""
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
            setattr(front, endpoint.operation, _forwarded(name, endpoint))
    return front


def _forwarded(name: str, endpoint: "Endpoint") -> Any:
    from marmita.runtime.endpoints import declared

    async def forward(front: Any, **fields: Any) -> Any:
        return await getattr(getattr(front, name).to_async, endpoint.operation)(**fields)

    return declared(forward, endpoint)


def _imported(package: str, name: str) -> ModuleType:
    """Import the module of a model. What goes wrong is told with the file and the line in which it did."""
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
    """Return the file and the line of the models' own code in which an error arose."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if {PACKAGE, SCRIPTS} & set(Path(frame.filename).parts)]
    last = (own or frames)[-1]
    return f"{last.filename}, line {last.lineno}"
