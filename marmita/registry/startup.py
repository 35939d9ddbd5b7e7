"""The version of a model that a service starts with: the store's champion, or the version in its Bento."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException, NotFound
from bentoml.models import BentoModel

from marmita import settings
from marmita.internals.bentoml import model_store, use_model_store
from marmita.registry import packed_model
from marmita.registry.bento_models import bento_models
from marmita.registry.fitness import NoChampionError, NotServableError, check_servable, servable_champion
from marmita.registry.packed_model import PackedModel

BENTO = Path(__file__).resolve().parents[3] / "bento.yaml"

log = logging.getLogger(__name__)


class StartupModel(BentoModel):
    """The version of a model that a service starts with, resolved when it is used and not when it is declared."""

    def __init__(self, name: str, contract: Mapping[str, Any]) -> None:
        super().__init__(tag=name)
        object.__setattr__(self, "_contract", contract)

    @property
    def stored(self) -> bentoml.Model:
        return first_version(self.tag.name, self._contract)

    def resolve(self, *_: object) -> bentoml.Model:
        return self.stored


def follows_store() -> bool:
    """Tell whether the service takes champions from the store, and not only the models of its Bento."""
    return settings.read().follow_store or not inside_bento()


def use_bento_models() -> None:
    """Point BentoML at the models of an image, so that a command there finds them as `bentoml serve` does."""
    if inside_bento() and (BENTO.parent / "models").is_dir():
        use_model_store(BENTO.parent / "models")


def inside_bento() -> bool:
    """Tell whether this code runs from a Bento, and not from a checkout."""
    return BENTO.exists() and BENTO.parent / "src" in Path(__file__).resolve().parents


def first_version(name: str, contract: Mapping[str, Any]) -> bentoml.Model:
    """Return the version that a service starts with: the store's champion, or the version in its Bento.

    A service with a model in its Bento falls back on it if the champion can't be served. Without one it fails to start.
    """
    if not follows_store():
        return _bento_version(name, contract)
    if not inside_bento():
        return _champion_version(name, contract)
    try:
        return _champion_version(name, contract)
    except NotFound:
        log.info("the store has no champion of %s yet: serving the Bento's version", name)
    except BentoMLException as error:
        log.error("champion of %s rejected, serving the Bento's version: %s", name, error)
    return _bento_version(name, contract)


def _champion_version(name: str, contract: Mapping[str, Any]) -> bentoml.Model:
    try:
        return model_store().get(servable_champion(name, contract).tag)
    except NoChampionError:
        said = f"There is no champion of the model {name} to serve{_why_none(name)}. Make one with: {_retrain(name)}"
        raise NotFound(said) from None
    except NotServableError as error:
        raise BentoMLException(f"{error}. Run: {_retrain(name)}") from None


def _bento_version(name: str, contract: Mapping[str, Any]) -> bentoml.Model:
    found = _find_in_bento(name)
    check_servable(found, contract)
    return bentoml.models.get(found.tag)


def _retrain(name: str) -> str:
    return f"python -m training.{name}"


def _why_none(name: str) -> str:
    try:
        newest = packed_model.get(name)
    except BentoMLException:
        return ""
    return f": the newest version, {newest.tag}, was not promoted ({newest.card.verdict.reason})"


def _find_in_bento(name: str) -> PackedModel:
    for tag in bento_models(BENTO):
        if tag.partition(":")[0] == name:
            return PackedModel.of(bentoml.models.get(tag))
    raise NotFound(f"The model {name} is not in this Bento: {BENTO.parent}")
