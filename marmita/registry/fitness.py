"""Whether a packed version is fit to be served by the code of today."""

from collections.abc import Mapping
from typing import Any

from bentoml.exceptions import BentoMLException

from marmita.contract.rows import same_interface
from marmita.registry.champions import champion
from marmita.registry.packed_model import PackedModel


class NotServableError(BentoMLException):
    """A version can't be served by this code."""


class NoChampionError(NotServableError):
    """No version of a model is the champion."""


def check_servable(packed: PackedModel, contract: Mapping[str, Any]) -> None:
    """Raise `NotServableError` unless a version is whole and takes and gives what a contract says."""
    try:
        packed.check()
    except BentoMLException as error:
        raise NotServableError(str(error)) from error
    if not same_interface(packed.contract, contract):
        raise NotServableError(f"{packed.tag} was trained with another contract than this code has")


def servable_champion(name: str, contract: Mapping[str, Any]) -> PackedModel:
    """Return a model's champion. Raise `NotServableError` if it is not fit, `NoChampionError` if there is none."""
    found = champion(name)
    if found is None:
        raise NoChampionError(f"the store has no champion of {name}")
    check_servable(found, contract)
    return found
