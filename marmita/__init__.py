"""The framework, which serves packed models with BentoML, and records, evaluates and retrains them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marmita.training.estimators.pack import pack

__all__ = ["pack"]


def __getattr__(name: str) -> Any:
    """Import the training kit when a model is packed: what serves does not have its libraries."""
    if name == "pack":
        return import_module("marmita.training.estimators.pack").pack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
