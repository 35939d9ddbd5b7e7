"""The last step of a training: compare the ONNX model, pass the gate, pack, and promote."""

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bentoml.models import ModelContext

from marmita import discovery
from marmita.contract.columns import UNSEEN, Column, Kind, columns_of, translate
from marmita.contract.rows import Floats
from marmita.records.quality import drift
from marmita.records.quality.evaluators import Evaluator, LabelledAnswers, table_evaluator
from marmita.registry import champions, packed_model
from marmita.registry.card import Card, Data, GateVerdict, Headline
from marmita.registry.fitness import NoChampionError, NotServableError, servable_champion
from marmita.registry.onnx_model import OnnxModel
from marmita.registry.packed_model import PackedModel
from marmita.training.examples import Doubles, Mask
from marmita.training.gate import verdict

TOLERANCE = 1e-4
"""The largest allowed difference between the outputs of the ONNX model and the native model."""


class NotTheSameError(Exception):
    """A difference between the ONNX model and the native model that is too large."""


class Comparison(NamedTuple):
    """A comparison of the ONNX model with the native model on some rows."""

    rows: int
    difference: float
    """The largest difference between their outputs."""

    def joined(self, other: "Comparison") -> "Comparison":
        return Comparison(self.rows + other.rows, max(self.difference, other.difference))


NOTHING_COMPARED = Comparison(rows=0, difference=0.0)


class UnreadableError(Exception):
    """A reference or scores that the model's evaluator can't read."""


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows, the native model's outputs for them, and the function that scores outputs.

    Differences between outputs are divided by `scale`.
    """

    rows: Floats
    native_outputs: Doubles
    score: Callable[[Doubles], float]
    scale: Doubles | float = 1.0


@dataclass(frozen=True)
class Candidate:
    """A trained model with all that is packed with it."""

    name: str
    about: str
    seed: int
    data: Data
    parameters: Mapping[str, Any]
    libraries: tuple[str, ...]
    """The packages that the model's behaviour depends on; the first is the framework that it is loaded with."""
    module: str
    native: Callable[[Path], None]
    compiled: bytes
    contract: dict[str, Any]
    reference: dict[str, Any]
    headline: Headline
    held_out: HeldOut
    scores: dict[str, Any]
    baselines: dict[str, dict[str, Any]]
    cross_validation: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    compared: Comparison = NOTHING_COMPARED
    """A comparison on other rows than the held-out ones, where there was one."""
    flaw: str | None = None
    fine_tuned_from: PackedModel | None = None
    """The champion that it was fine-tuned from, if it was."""


def pack(candidate: Candidate) -> PackedModel:
    """Save a candidate, and promote it if it passes the gate."""
    compared = compare(candidate.compiled, candidate.held_out).joined(candidate.compared)
    check_readable(candidate, _evaluator(candidate))
    with champions.champion_lock(candidate.name) as promote:
        result = _apply_gate(candidate)
        packed = _save(candidate, compared, result)
        if result.promoted:
            promote(packed)
    found = f"by {compared.difference:.1e} at most, on {compared.rows} rows"
    print(f"\nThe compiled model differs from the native one {found}.")
    print(f"Packed as {packed.tag}, {'promoted' if result.promoted else 'not promoted'}: {result.reason}.")
    return packed


def compare(compiled: bytes, held_out: HeldOut) -> Comparison:
    """Compare the ONNX model with the native one on the held-out rows.

    Raise `NotTheSameError` if they differ by more than the tolerance.
    """
    outputs = OnnxModel(compiled)(held_out.rows).astype(float)
    difference = float(np.max(np.abs(outputs - held_out.native_outputs) / held_out.scale))
    if not difference <= TOLERANCE:
        raise NotTheSameError(f"the compiled model differs from the native one by {difference:.1e}: nothing is packed")
    return Comparison(len(held_out.rows), difference)


def check_readable(candidate: Candidate, evaluator: Evaluator) -> None:
    """Raise `UnreadableError` unless the evaluator can measure drift and quality with the candidate's reference."""
    rows, outputs = candidate.held_out.rows, candidate.held_out.native_outputs.astype(np.float32)
    answered = LabelledAnswers(rows, outputs, np.ones((len(rows), evaluator.steps)))
    try:
        drift.watch(evaluator, candidate.reference, rows, outputs)
        evaluator.score(answered)
        evaluator.error_ratio(answered, candidate.scores)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableError(
            f"the evaluator of {candidate.name} can't read what was measured in training ({error!r}): nothing is packed"
        ) from error


def _evaluator(candidate: Candidate) -> Evaluator:
    if candidate.name in discovery.names():
        return discovery.runner(candidate.name).evaluator
    return table_evaluator(candidate.name, candidate.contract)


def _apply_gate(candidate: Candidate) -> GateVerdict:
    champion, score, not_compared = None, None, None
    try:
        champion = _champion(candidate)
        score = _score(champion, candidate)
    except NotServableError as error:  # it must not block its successor
        not_compared = str(error)
        print(f"\nThe current champion is not compared: {error}")
    flaw = _unfair_comparison(champion, candidate) or _outdated_origin(candidate) or candidate.flaw
    return verdict(candidate.headline, score, flaw, not_compared)


def _save(candidate: Candidate, compared: Comparison, result: GateVerdict) -> PackedModel:
    libraries = {name: importlib.metadata.version(name) for name in candidate.libraries}
    framework = candidate.libraries[0]
    card = Card(
        model=candidate.name,
        about=candidate.about,
        made=datetime.now(UTC),
        seed=candidate.seed,
        data=candidate.data,
        parameters=dict(candidate.parameters),
        libraries=libraries,
        headline=candidate.headline,
        held_out=candidate.scores,
        baselines=candidate.baselines,
        cross_validation=candidate.cross_validation,
        compiled_difference=compared.difference,
        compiled_rows=compared.rows,
        verdict=result,
    )
    return packed_model.save(
        candidate.name,
        native=candidate.native,
        module=candidate.module,
        context=ModelContext(framework_name=framework, framework_versions={framework: libraries[framework]}),
        compiled=candidate.compiled,
        contract=candidate.contract,
        card=card,
        reference=candidate.reference,
        labels=candidate.labels,
    )


def _champion(candidate: Candidate) -> PackedModel | None:
    """Return the current champion, or None. Raise `NotServableError` if it does not take the same rows."""
    try:
        return servable_champion(candidate.name, candidate.contract)
    except NoChampionError:
        return None


def _score(champion: PackedModel | None, candidate: Candidate) -> tuple[str, float] | None:
    """Return the champion's tag and its score on the candidate's held-out rows."""
    if champion is None:
        return None
    outputs = champion.compiled()(_rows_for(champion, candidate)).astype(float)
    return champion.tag, candidate.held_out.score(outputs)


def _rows_for(champion: PackedModel, candidate: Candidate) -> Floats:
    """Return the held-out rows as the champion's input. Raise `NotServableError` if its contract does not allow them.

    Table models of other trainings may have other categories, and so other numbers for the same words.
    """
    rows = candidate.held_out.rows
    if "task" not in candidate.contract:
        return rows
    given, wanted = columns_of(candidate.contract), columns_of(champion.contract)
    if [column.kind for column in given] != [column.kind for column in wanted]:
        raise NotServableError(f"{champion.tag} was trained with columns of other kinds")
    rows = translate(rows, given, wanted)
    if rejected := int(np.sum(rejected_rows(wanted, rows))):
        raise NotServableError(f"{champion.tag} does not accept {rejected} of the held-out rows")
    return rows


def rejected_rows(columns: Sequence[Column], rows: Floats) -> Mask:
    """Return the mask of the rows with a gap or an unseen word in a column that allows none."""
    gaps = np.array([column.gaps for column in columns])
    closed = np.array([column.kind is Kind.CATEGORY and not column.unseen for column in columns])
    rejected: Mask = np.any((np.isnan(rows) & ~gaps) | ((rows == UNSEEN) & closed), axis=1)
    return rejected


def _unfair_comparison(champion: PackedModel | None, candidate: Candidate) -> str | None:
    """Return why the scores can't be compared: the champion has learnt from the candidate's held-out days."""
    mine = candidate.data.held_out_from
    theirs = champion.card.data.held_out_from if champion else None
    if champion is None or mine is None or theirs is None or theirs <= mine:
        return None
    return (
        f"it is judged on days from {mine} on, of which the champion {champion.tag} has seen those before {theirs}: "
        "they can't be compared"
    )


def _outdated_origin(candidate: Candidate) -> str | None:
    """Return why a candidate's origin disqualifies it: the version that it was fine-tuned from is no longer champion.

    A champion that was rolled back meanwhile passes its faults on, and may have learnt from the held-out days.
    """
    origin = candidate.fine_tuned_from
    if origin is None or champions.champion_version(candidate.name) == origin.version:
        return None
    return f"it was fine-tuned from {origin.tag}, which is not the champion any more"
