"""Which version of a model a service begins with: the store's champion, or the one that its Bento was built with."""

import logging
from pathlib import Path
from typing import Any

import bentoml
import yaml
from bentoml.exceptions import BentoMLException, NotFound
from bentoml.models import BentoModel

from marmita import settings
from marmita.contract.schema import same_interface
from marmita.internals.bentoml import model_store, use_model_store
from marmita.registry import champions, packed_model
from marmita.registry.packed_model import PackedModel

BENTO = Path(__file__).resolve().parents[3] / "bento.yaml"

log = logging.getLogger("bentoml.marmita")


class StoredChampion(BentoModel):  # type: ignore[misc]  # it has no types
    """A model of the store in BentoML's home. BentoML itself would look among those of the Bento only."""

    @property
    def stored(self) -> bentoml.Model:
        return model_store().get(self.tag)

    def resolve(self, *_: object) -> bentoml.Model:
        return self.stored


def follows() -> bool:
    """Whether champions are taken from the store: else the models are those that a Bento was built with."""
    return settings.read().follow_store or not _inside_bento()


def find_those_of_the_bento() -> None:
    """Let a command inside an image find the models there, as `bentoml serve` does."""
    if _inside_bento() and (BENTO.parent / "models").is_dir():
        use_model_store(BENTO.parent / "models")


def _inside_bento() -> bool:
    return BENTO.exists() and BENTO.parent / "src" in Path(__file__).resolve().parents


def served(name: str, contract: dict[str, Any]) -> BentoModel:
    """The model that a service begins with.

    It is looked at before anything is started, so that a service that can't work says so at once and ends. One that
    has a model in its Bento to fall back on does not: as while it runs, a champion that is not fit is passed over.
    """
    if not follows():
        return _of_the_bento(name, contract)
    if not _inside_bento():
        return _champion(name, contract)
    try:
        return _champion(name, contract)
    except NotFound:
        log.info("there is no champion of %s in the store yet: the Bento's own is served", name)
    except BentoMLException as error:
        log.error("the champion of %s is not served, the Bento's own is: %s", name, error)
    return _of_the_bento(name, contract)


def _champion(name: str, contract: dict[str, Any]) -> BentoModel:
    found = champions.champion(name)
    if found is None:
        raise NotFound(
            f"There is no champion of the model {name} to serve{_why_none(name)}. Make one with: {_retrain(name)}"
        )
    return StoredChampion(_fit(found, contract).tag)


def _of_the_bento(name: str, contract: dict[str, Any]) -> BentoModel:
    return BentoModel(_fit(_packed_in_bento(name), contract).tag)


def _fit(found: PackedModel, contract: dict[str, Any]) -> PackedModel:
    if not same_interface(found.contract, contract):
        was = f"{found.tag} was trained with another contract than this code has"
        raise BentoMLException(f"{was}. Run: {_retrain(found.name)}")
    found.verify()
    return found


def _retrain(name: str) -> str:
    return f"python -m training.{name}"


def _why_none(name: str) -> str:
    try:
        newest = packed_model.get(name)
    except BentoMLException:
        return ""
    return f": the newest version, {newest.tag}, was not promoted ({newest.card.verdict.reason})"


def _packed_in_bento(name: str) -> PackedModel:
    bento = yaml.safe_load(BENTO.read_text())
    models = [model for service in bento["services"] for model in service["models"]] + bento["models"]
    for model in models:
        if model["tag"].partition(":")[0] == name:
            return PackedModel.of(bentoml.models.get(model["tag"]))
    raise NotFound(f"The model {name} is not in this Bento: {BENTO.parent}")
