"""Which version of a model a service begins with: the store's champion, or the one that its Bento was built with."""

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


class ServedModel(BentoModel):
    """The version of a model that a service starts with. It is looked up when it is needed, not when it is named."""

    def __init__(self, name: str, contract: Mapping[str, Any]) -> None:
        super().__init__(tag=name)
        object.__setattr__(self, "_contract", contract)

    @property
    def stored(self) -> bentoml.Model:
        return first_version(self.tag.name, self._contract)

    def resolve(self, *_: object) -> bentoml.Model:
        return self.stored


def follows() -> bool:
    """Whether champions are taken from the store: else the models are those that a Bento was built with."""
    return settings.read().follow_store or not inside_bento()


def find_those_of_the_bento() -> None:
    """Let a command inside an image find the models there, as `bentoml serve` does."""
    if inside_bento() and (BENTO.parent / "models").is_dir():
        use_model_store(BENTO.parent / "models")


def inside_bento() -> bool:
    """Tell whether this code is that of a Bento, and not of a checkout."""
    return BENTO.exists() and BENTO.parent / "src" in Path(__file__).resolve().parents


def first_version(name: str, contract: Mapping[str, Any]) -> bentoml.Model:
    """Return the version that a service starts with: the store's champion, or that of its Bento.

    A service that has a model in its Bento to fall back on passes over a champion that is not fit, as it does while it
    runs. One that has none says what is wrong and ends.
    """
    if not follows():
        return _of_the_bento(name, contract)
    if not inside_bento():
        return _champion(name, contract)
    try:
        return _champion(name, contract)
    except NotFound:
        log.info("there is no champion of %s in the store yet: the Bento's own is served", name)
    except BentoMLException as error:
        log.error("the champion of %s is not served, the Bento's own is: %s", name, error)
    return _of_the_bento(name, contract)


def _champion(name: str, contract: Mapping[str, Any]) -> bentoml.Model:
    try:
        return model_store().get(servable_champion(name, contract).tag)
    except NoChampionError:
        said = f"There is no champion of the model {name} to serve{_why_none(name)}. Make one with: {_retrain(name)}"
        raise NotFound(said) from None
    except NotServableError as error:
        raise BentoMLException(f"{error}. Run: {_retrain(name)}") from None


def _of_the_bento(name: str, contract: Mapping[str, Any]) -> bentoml.Model:
    found = _packed_in_bento(name)
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


def _packed_in_bento(name: str) -> PackedModel:
    for tag in bento_models(BENTO):
        if tag.partition(":")[0] == name:
            return PackedModel.of(bentoml.models.get(tag))
    raise NotFound(f"The model {name} is not in this Bento: {BENTO.parent}")
