"""Packed models in the BentoML store.

A packed model is one tag. It holds the native model, which BentoML loads as usual, and

    compiled.onnx    the ONNX model that a service runs
    contract.json    the features that it was trained with (names, order, units)
    card.json        its scores beside those of its baselines, and how it was made
    reference.json   statistics of its inputs and predictions, to detect unusual inputs and drift
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException
from bentoml.models import ModelContext
from pydantic import ValidationError

from marmita.internals.bentoml import model_store, model_store_dir
from marmita.registry.card import Card
from marmita.registry.locks import staging, write
from marmita.registry.onnx_model import OnnxModel

COMPILED = "compiled.onnx"


@dataclass(frozen=True)
class PackedModel:
    """A packed model in the store."""

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
            raise BentoMLException(f"{self.tag} has a card of another schema ({error.error_count()} errors)") from None

    def verify(self) -> bytes:
        """Return the ONNX model's bytes. Raise if they are not those that were packed."""
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
        """Return the ONNX model, ready to run."""
        return OnnxModel(self.verify())

    def _read(self, file: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads((self.path / file).read_text())
        except (OSError, ValueError) as error:
            raise BentoMLException(f"{self.tag} is not a packed model: {file} can't be read ({error})") from None
        return content


def save(
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
    """Save a model as one tag. It appears in the store atomically."""
    store = model_store_dir().resolve()
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
            _model_store=model_store(aside),
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


def get(tag: str) -> PackedModel:
    """Return a version from the store in BentoML's home."""
    return PackedModel.of(model_store().get(tag))


def versions(name: str) -> list[PackedModel]:
    """Return all versions of a model in the store in BentoML's home, newest first."""
    found = sorted(model_store().list(name), key=lambda model: model.info.creation_time, reverse=True)
    return [PackedModel.of(model) for model in found]
