"""Checks that the current code can serve a packed version."""

from collections.abc import Mapping
from typing import Any

from bentoml.exceptions import BentoMLException

from marmita.contract.rows import same_interface
from marmita.registry.champions import champion
from marmita.registry.packed_model import PackedModel


class NotServableError(BentoMLException):
    """A version that this code can't serve."""


class NoChampionError(NotServableError):
    """A model without a champion."""


def check_servable(packed: PackedModel, contract: Mapping[str, Any]) -> None:
    """Raise `NotServableError` unless a version is undamaged and its interface matches the contract."""
    try:
        packed.check()
    except BentoMLException as error:
        raise NotServableError(str(error)) from error
    if not same_interface(packed.contract, contract):
        raise NotServableError(f"{packed.tag} was trained with another contract than this code has")


def servable_champion(name: str, contract: Mapping[str, Any]) -> PackedModel:
    """Return a model's champion. Raise `NotServableError` if it can't be served, `NoChampionError` if there is none."""
    found = champion(name)
    if found is None:
        raise NoChampionError(f"the store has no champion of {name}")
    check_servable(found, contract)
    return found
