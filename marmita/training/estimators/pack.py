"""`marmita.pack`: an estimator from a notebook becomes a packed model."""

import copy
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd

from marmita import discovery
from marmita.contract.columns import Column, Floats, Kind
from marmita.registry.card import Data, distinct_figures
from marmita.training.conformal import ConformalInterval, conformal
from marmita.training.conversion import in_single_precision, is_fitted, to_bytes
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.faults import unconverted
from marmita.training.estimators.fitting import (
    FEWEST_HELD_OUT,
    Split,
    check_rounding,
    check_selectors,
    fit,
    residuals,
)
from marmita.training.estimators.frame import plain
from marmita.training.estimators.graph import VALUE, to_table_graph
from marmita.training.estimators.result import PackedTable
from marmita.training.estimators.target import classifies
from marmita.training.estimators.tasks import Classification, Regression, Task
from marmita.training.estimators.trial import Question, Trial, answer, scale
from marmita.training.examples import SEED, Doubles, fingerprint
from marmita.training.packing import Candidate, Comparison, HeldOut, NotTheSameError, UnreadableError, rejected_rows
from marmita.training.packing import pack as pack_candidate
from marmita.training.reference import reference
from marmita.training.report import table as report
from marmita.training.scoring import make_headline

CLOSE_TO_LINEAR = 0.02
"""The share by which an estimator may miss the score of the linear baseline: it may be that very model."""

_NAME = re.compile("[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class CardNotes:
    """What the card of a packed estimator says beside its scores."""

    name: str
    seed: int
    about: str
    data: Data
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the training, beside the estimator's own parameters."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    cross_validation: dict[str, Any] = field(default_factory=dict)
    must_beat_linear: bool = True
    """Whether a linear model is a baseline that must be beaten. It is none if it was a candidate itself."""


@dataclass(frozen=True)
class Compiled:
    """A fitted estimator and its graph, which has passed the trial."""

    estimator: Any
    split: Split
    """The rows that the contract accepts, in a table that says which these are."""
    graph: bytes
    compared: Comparison
    spread: float
    interval: ConformalInterval | None = None

    @property
    def outputs(self) -> Doubles:
        """The native outputs for the held-out rows."""
        answers = answer(self.estimator, self.split.table.native(self.split.unseen.values))
        return self.interval.around(answers[:, 0]) if self.interval else answers


def pack(
    estimator: Any,
    X: Any,  # noqa: N803
    y: Any,
    *,
    name: str,
    holdout: tuple[Any, Any] | None = None,
    seed: int = SEED,
    about: str = "",
    source: str = "",
    licence: str = "",
) -> PackedTable:
    """Pack an estimator of scikit-learn, and promote it if it passes the gate: services then serve it by its name.

    A copy of the estimator is fitted on the rows that are not held out, so that its scores are those of rows that it
    can't have seen. With `holdout=(X_test, y_test)` a fitted estimator stays as it is, and is scored on these. Raise
    `CannotPackError`, and leave nothing behind, unless the compiled model answers as the estimator does.
    """
    _check_name(name)
    is_classifier = classifies(estimator)
    split = Split.read(X, y, holdout, classifies=is_classifier)
    print(f"{name}: {len(split.train)} rows to learn from, {len(split.unseen)} held out, seed {seed}")
    taken = holdout is not None and is_fitted(estimator)
    fitted = in_single_precision(copy.deepcopy(estimator)) if taken else _fit(estimator, X, split)
    task: Task = Classification(tuple(fitted.classes_.tolist())) if is_classifier else Regression()
    task.truths(split.train.target), task.truths(split.unseen.target)  # raise an error for an unknown class
    recipe = getattr(fitted, "best_estimator_", estimator)  # a search takes long, and need not be repeated
    compiled = compile_fitted(fitted, split, task, seed, lambda rows: residuals(recipe, rows, seed))
    if taken:
        check_rounding(estimator, fitted, compiled.split, compiled.spread)
    data = Data(
        source=source or "a notebook",
        licence=licence or "not stated",
        fingerprint=_fingerprint(compiled.split),
        rows=len(compiled.split.train),
        rows_held_out=len(compiled.split.unseen),
    )
    about = about or f"{type(fitted).__name__} of scikit-learn on {len(split.table.columns)} columns"
    return pack_compiled(compiled, task, CardNotes(name, seed, about, data))


def pack_compiled(compiled: Compiled, task: Task, notes: CardNotes) -> PackedTable:
    """Pack what has passed the trial, and promote it if it passes the gate."""
    candidate = _candidate(compiled, task, notes)
    try:
        packed = pack_candidate(candidate)
    except (NotTheSameError, UnreadableError) as error:
        raise CannotPackError(Problem.DIFFERENCE, str(error)) from error
    return PackedTable(packed, candidate.held_out.rows, task.truths(compiled.split.unseen.target))


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CannotPackError(
            Problem.NAME, f"the name {name!r} must have 1 to 63 small letters, digits and _, and begin with a letter"
        )
    if name in discovery.names():
        raise CannotPackError(Problem.NAME, f"{name} is the name of a model with code: choose another")


def _fit(estimator: Any, given: Any, split: Split) -> Any:
    if is_fitted(estimator):
        print("  the estimator is fitted anew, as the one that was given may have seen the held-out rows")
    check_selectors(estimator, given, split)
    return fit(estimator, split.table, split.train)


def compile_fitted(
    fitted: Any, split: Split, task: Task, seed: int, out_of_fold: Callable[[Split], Doubles]
) -> Compiled:
    """Convert a fitted estimator, and try it. `out_of_fold` returns residuals of rows that a fit has not seen."""
    print("  compiling the estimator, and comparing the two")
    spread = task.spread(split.train.target)
    try:
        graph = to_table_graph(fitted, split.table.columns, task.width)
        content = to_bytes(graph)
    except Exception as error:  # converters raise anything
        raise CannotPackError(Problem.CONVERSION, f"{unconverted(fitted, error)}: nothing is packed") from error
    trial = Trial(split.table, fitted, content, split.table.encode(split.train.values), spread, seed)
    table, compared = trial.run()
    split = _accepted(replace(split, table=table))
    trial.require(Question("held-out rows", split.unseen.values))
    if not task.has_interval:
        return Compiled(fitted, split, content, compared, spread)
    interval = _interval(out_of_fold(split))
    interval.add_to(graph.graph, VALUE)
    return Compiled(fitted, split, to_bytes(graph), compared, spread, interval)


def _accepted(split: Split) -> Split:
    """Leave out held-out rows that the contract refuses, as the estimator or the compiled model has no answer."""
    refused = rejected_rows(split.table.columns, split.table.encode(split.unseen.values))
    unseen = split.unseen.at(~refused)
    if refused.any():
        print(f"  {refused.sum()} held-out rows have a gap or a word that the estimator does not take: not scored")
    if len(unseen) < FEWEST_HELD_OUT:
        raise CannotPackError(
            Problem.ROWS, f"the estimator answers {len(unseen)} of the held-out rows: it takes {FEWEST_HELD_OUT}"
        )
    return replace(split, unseen=unseen)


def _interval(found: Doubles) -> ConformalInterval:
    print(f"  fitting the interval on {len(found)} out-of-fold residuals")
    try:
        return conformal(found)
    except ValueError as error:
        raise CannotPackError(Problem.ROWS, f"there are too few rows to learn from: {error}") from error


def _candidate(compiled: Compiled, task: Task, notes: CardNotes) -> Candidate:
    split, outputs = compiled.split, compiled.outputs
    rows, unseen = split.table.encode(split.train.values), split.table.encode(split.unseen.values)
    truths, unseen_truths = task.truths(split.train.target), task.truths(split.unseen.target)
    print("  fitting the baselines")
    by_baseline = task.fit_baselines(split.table.columns, (rows, truths), (unseen, unseen_truths))
    scores = task.scores(unseen_truths, outputs)
    compared = by_baseline if notes.must_beat_linear else {task.simplest: by_baseline[task.simplest]}
    print()
    print(report("on held-out rows", task.shown, {"this model": scores, **by_baseline}))
    return Candidate(
        name=notes.name,
        about=notes.about,
        seed=notes.seed,
        data=notes.data,
        parameters={**_parameters(compiled.estimator), **notes.parameters},
        libraries=("scikit-learn", "skl2onnx", "onnx", "numpy", "pandas"),
        module="bentoml.sklearn",
        native=_native(compiled.estimator),
        compiled=compiled.graph,
        contract=_contract(split, rows, task),
        reference=_reference(split, rows, outputs, task),
        headline=make_headline(
            task.metric,
            scores,
            compared,
            higher_is_better=task.higher_is_better,
            tolerance=CLOSE_TO_LINEAR if notes.must_beat_linear else 0.0,
        ),
        held_out=HeldOut(
            rows=unseen,
            native_outputs=outputs,
            score=lambda others: float(task.scores(unseen_truths, others)[task.metric]),
            scale=scale(compiled.estimator, outputs, compiled.spread),
        ),
        scores={**scores, **notes.scores},
        baselines=by_baseline,
        cross_validation=notes.cross_validation,
        labels={"task": task.name, "framework": "scikit-learn"},
        compared=compiled.compared,
        flaw=_flaw(scores, by_baseline, task),
    )


def _flaw(scores: Mapping[str, Any], by_baseline: Mapping[str, Mapping[str, Any]], task: Task) -> str | None:
    """Return why a model is no use, though a linear one may be no better: it knows nothing of a row."""
    mine, simplest = scores[task.metric], by_baseline[task.simplest][task.metric]
    if (mine > simplest) if task.higher_is_better else (mine < simplest):
        return None
    mine, simplest = distinct_figures(mine, simplest)
    figures = f"{task.metric} {mine} against {simplest}"
    return f"it is no better than the {task.simplest}: {figures}. There is nothing to learn here"


def _contract(split: Split, rows: Floats, task: Task) -> dict[str, Any]:
    features = [_feature(column, values) for column, values in zip(split.table.columns, rows.T, strict=True)]
    return {"task": task.name, "target": split.train.target.name, "features": features, **task.described}


def _feature(column: Column, values: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Return the contract's description of a column, with what the training saw in it."""
    known = values[~np.isnan(values)]
    described = {key: value for key, value in vars(column).items() if key in Column.__dataclass_fields__}
    described["kind"] = column.kind.value
    if not column.decimal:
        del described["decimal"]
    if column.kind is Kind.CATEGORY:
        described["categories"] = list(column.categories)
    else:
        del described["categories"]
    if column.kind in (Kind.NUMBER, Kind.INTEGER):
        described["seen"] = [plain(column.kind, end) for end in (known.min(), known.max())] if len(known) else None
    return described | {"missing": 1 - len(known) / len(values)}


def _reference(split: Split, rows: Floats, outputs: Doubles, task: Task) -> dict[str, Any]:
    """Return the statistics of the columns without their gaps. A column without values has none."""
    names = (column.name for column in split.table.columns)
    known = {name: values[~np.isnan(values)] for name, values in zip(names, rows.T, strict=True)}
    return reference(
        {name: values for name, values in known.items() if len(values)}, task.predictions(outputs), **task.served
    )


def _parameters(estimator: Any) -> dict[str, Any]:
    """Return the parameters that JSON can hold, after a description of the whole."""
    plain_ones = {
        name: value
        for name, value in estimator.get_params().items()
        if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and np.isfinite(value))
    }
    return {"estimator": " ".join(repr(estimator).split()), **plain_ones}


def _fingerprint(split: Split) -> str:
    frames = [
        pd.DataFrame(split.table.native(rows.values)).assign(_=rows.target.values)
        for rows in (split.train, split.unseen)
    ]
    return fingerprint(pd.concat(frames))


def _native(estimator: Any) -> Callable[[Path], None]:
    """Return the function that saves an estimator. Raise an error if it can't be saved."""
    content = io.BytesIO()
    try:
        joblib.dump(estimator, content)
    except Exception as error:  # an estimator may hold anything
        raise CannotPackError(
            Problem.SAVING, f"the estimator can't be saved: {error}. Lambdas and open files can't be"
        ) from error

    def save(folder: Path) -> None:
        (folder / "saved_model.pkl").write_bytes(content.getvalue())

    return save
