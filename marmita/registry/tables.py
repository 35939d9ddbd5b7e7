"""The table models that a service serves: models without code, whose contract alone says what they take."""

import re
from collections.abc import Collection
from functools import cached_property

import bentoml
from bentoml.exceptions import BentoMLException, NotFound

from marmita.contract.tables import NAME as NAME
from marmita.internals.bentoml import model_store, model_store_dir
from marmita.registry import champions
from marmita.registry.bento_models import bento_models
from marmita.registry.packed_model import PackedModel
from marmita.registry.startup import BENTO, follows_store, inside_bento

VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
NAMES = {"name": NAME, "version": VERSION}
"""The patterns of the names in a path."""

_NAME = re.compile(NAME)
_VERSION = re.compile(VERSION)


def is_table(packed: PackedModel) -> bool:
    """Tell whether a version is served without code. Contracts of models with code have no task."""
    return "task" in packed.contract


class TableStore:
    """The table models that this service may serve: the store's champions, and those in its Bento."""

    def __init__(self, reserved: Collection[str], *, serves: bool = True) -> None:
        self._reserved = frozenset(reserved)
        """The names of the models with code."""
        self.serves = serves
        """Whether the service has table models at all."""
        self._tables: dict[str, bool] = {}

    def names(self) -> list[str]:
        """Return the names of all table models that have a champion, in alphabetical order."""
        found = {file.parent.name for file in model_store_dir().glob("*/champion")} if self._follows else set()
        return sorted(name for name in found | self.in_bento.keys() if self.champion(name) is not None)

    def champion(self, name: str) -> PackedModel | None:
        """Return the version to serve, or None if there is no such table model."""
        tag = self.champion_tag(name)
        try:
            return self.get(tag) if tag else None
        except BentoMLException:
            return None

    def champion_tag(self, name: str) -> str | None:
        """Return the tag of the version to serve, whether it can be served or not. It reads one small file."""
        if not self.serves or name in self._reserved or not _NAME.fullmatch(name):
            return None
        version = champions.champion_version(name) if self._follows else None
        if version and (model_store_dir() / name / version).is_dir():
            return f"{name}:{version}"
        return self.in_bento.get(name)

    def newest_version(self, name: str) -> str | None:
        """Return the newest version of a model, whether it was promoted or not. It reads one small file."""
        try:
            return (model_store_dir() / name / "latest").read_text().strip() if self._follows else None
        except FileNotFoundError:
            return None

    def get(self, tag: str) -> PackedModel:
        """Return a version of a table model."""
        name, _, version = tag.partition(":")
        if not self.serves or name in self._reserved or not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
            raise NotFound(f"there is no table model {tag}")
        packed = PackedModel.of(self._stored(tag))
        if tag not in self._tables:
            self._tables[tag] = is_table(packed)
        if not self._tables[tag]:
            raise NotFound(f"{tag} is no table model")
        return packed

    def _stored(self, tag: str) -> bentoml.Model:
        if self._follows:
            try:
                return model_store().get(tag)
            except NotFound:
                pass
        if tag in self.in_bento.values():
            return bentoml.models.get(tag)
        raise NotFound(f"there is no table model {tag}")

    @cached_property
    def _follows(self) -> bool:
        return follows_store()

    @cached_property
    def in_bento(self) -> dict[str, str]:
        """The tag of each table model in this Bento by its name."""
        tags = bento_models(BENTO) if inside_bento() and self.serves else []
        return {name: tag for tag in tags if (name := tag.partition(":")[0]) not in self._reserved}
