"""Packed models in the BentoML store, and which of them is the champion.

A packed model is one tag. Beside the native model, which BentoML loads as it always does, it holds

    compiled.onnx    what is served
    contract.json    features (names, order, units) that it was trained with
    card.json        how good it is, beside its baselines, and how it was made
    reference.json   what its inputs and predictions look like, for telling unusual inputs and drift

The champion is the version that is served. A file `champion` beside the store's own `latest` names it, and a file
`promoted` those that were it, oldest first. A Bento names its models itself: `choosing.py` says what counts inside one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from bentoml.exceptions import BentoMLException, NotFound
from bentoml.models import ModelContext
from pydantic import ValidationError

from marmita.registry.card import Card
from marmita.registry.locks import locked, staging, write
from marmita.registry.onnx_model import OnnxModel

COMPILED = "compiled.onnx"


@dataclass(frozen=True)
class PackedModel:
    """A packed model, as it lies in the store."""

    tag: str
    path: Path
    digest: str

    @classmethod
    def of(cls, stored: bentoml.Model) -> "PackedModel":
        return cls(str(stored.tag), Path(stored.path), str(stored.info.metadata.get("compiled_sha256")))

    @property
    def name(self) -> str:
        return self.tag.partition(":")[0]

    @property
    def version(self) -> str:
        return self.tag.partition(":")[2]

    @cached_property
    def contract(self) -> dict[str, Any]:
        return self._read("contract.json")

    @cached_property
    def reference(self) -> dict[str, Any]:
        return self._read("reference.json")

    @cached_property
    def card(self) -> Card:
        try:
            return Card.model_validate(self._read("card.json"))
        except ValidationError as error:
            raise BentoMLException(f"{self.tag} has a card of another kind ({error.error_count()} errors)") from None

    def verify(self) -> bytes:
        """The compiled model's bytes, if they are those that were packed."""
        try:
            content = (self.path / COMPILED).read_bytes()
        except OSError as error:
            raise BentoMLException(f"{self.tag} can't be read: {error}") from None
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise BentoMLException(f"{self.tag} is damaged: {COMPILED} is not what was packed")
        return content

    def check(self) -> None:
        """Raise if anything that a service or a comparison reads is missing or damaged."""
        self.verify()
        for part in ("contract", "card", "reference"):
            getattr(self, part)

    def compiled(self) -> OnnxModel:
        """The model, ready to run."""
        return OnnxModel(self.verify())

    def _read(self, file: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.path / file).read_text())
        except (OSError, ValueError) as error:
            raise BentoMLException(f"{self.tag} is not a packed model: {file} can't be read ({error})") from None
        return content


def pack(
    name: str,
    *,
    native: Callable[[Path], None],
    module: str,
    context: ModelContext,
    compiled: bytes,
    contract: dict[str, Any],
    card: Card,
    reference: dict[str, Any],
    labels: dict[str, str],
) -> PackedModel:
    """Save a model as one tag, which appears in the store whole or not at all."""
    store = Path(BentoMLContainer.model_store_dir.get()).resolve()
    metadata = {
        "metric": card.headline.metric,
        "value": card.headline.value,
        "baseline": card.headline.baseline_value,
        "verdict": card.verdict.reason,
        "compiled_sha256": hashlib.sha256(compiled).hexdigest(),
    }
    with staging(store.parent / "tmp") as aside:
        with bentoml.models.create(
            name,
            module=module,
            context=context,
            labels=labels,
            metadata=metadata,
            _model_store=ModelStore(aside),
        ) as model:
            folder = Path(model.path)
            native(folder)
            (folder / COMPILED).write_bytes(compiled)
            (folder / "contract.json").write_text(json.dumps(contract, indent=2))
            (folder / "card.json").write_text(card.model_dump_json(indent=2))
            (folder / "reference.json").write_text(json.dumps(reference, indent=2))
        home = store / name
        home.mkdir(parents=True, exist_ok=True)
        version = str(model.tag.version)
        (aside / name / version).rename(home / version)
        write(home / "latest", version)
    return PackedModel.of(bentoml.models.get(f"{name}:{version}"))


@contextmanager
def deciding(name: str) -> Iterator[Callable[[PackedModel], None]]:
    """Nobody else names a champion of this model meanwhile: who is compared with today's can be sure that it stays it.

    Yields what promotes a version.
    """
    home = Path(BentoMLContainer.model_store_dir.get()) / name
    with locked(home / ".champion.lock", f"the champion of {name}"):
        yield partial(_promote, home)


def promote(packed: PackedModel) -> None:
    """Make a version the champion, whoever is it now."""
    with deciding(packed.name) as promote_it:
        promote_it(packed)


def roll_back(name: str) -> PackedModel:
    """Make the version that was the champion before this one the champion again."""
    home = Path(BentoMLContainer.model_store_dir.get()) / name
    now = champion_version(name)
    if now is None:
        raise NotFound(f"{name} has no champion in the store")
    with deciding(name):
        if (newer := champion_version(name)) != now:
            raise BentoMLException(
                f"{name}:{newer} has become the champion meanwhile, in the place of {now}: look again"
            )
        earlier = [version for version in _before(home, now) if (home / version).is_dir()]
        if not earlier:
            raise NotFound(f"no earlier champion of {name} is in the store")
        before = packed(f"{name}:{earlier[-1]}")
        before.check()
        _name_champion(home, earlier)
    return before


def champion_version(name: str) -> str | None:
    """The champion's version, if there is a champion."""
    try:
        return (Path(BentoMLContainer.model_store_dir.get()) / name / "champion").read_text().strip()
    except FileNotFoundError:
        return None


def packed(tag: str) -> PackedModel:
    """A version in the store."""
    return PackedModel.of(at_home().get(tag))


def at_home() -> ModelStore:
    """The store in BentoML's home. Of a Bento that brings its models along, BentoML itself sees those only."""
    return ModelStore(Path(BentoMLContainer.model_store_dir.get()))


def champion(name: str) -> PackedModel | None:
    """The champion in the store, if there is one."""
    version = champion_version(name)
    try:
        return packed(f"{name}:{version}") if version else None
    except NotFound:
        return None


def _promote(home: Path, packed: PackedModel) -> None:
    now = champion_version(packed.name)
    earlier = [*_before(home, now), now] if now else _promoted(home)
    _name_champion(home, [*(version for version in earlier if version != packed.version), packed.version])


def _name_champion(home: Path, promoted: list[str]) -> None:
    """The last one is the champion. Who is killed between the two files leaves a list that does not name it yet, or
    that goes on after it: `_before` reads both right, and the next one writes it anew.
    """
    write(home / "champion", promoted[-1])
    write(home / "promoted", "\n".join(promoted))


def _before(home: Path, champion: str) -> list[str]:
    """The champions before this one, oldest first."""
    promoted = _promoted(home)
    return promoted[: promoted.index(champion)] if champion in promoted else promoted


def _promoted(home: Path) -> list[str]:
    try:
        return (home / "promoted").read_text().split()
    except FileNotFoundError:
        return []
