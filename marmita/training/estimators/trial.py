"""The trial of a compiled model: it must answer as the estimator does, whatever a contract lets in.

Held-out rows hardly ever have a word that the training had not seen, a gap in a column that had none, or a value next
to a threshold: such rows are made. What the estimator refuses is what the contract will refuse.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier

from marmita.contract.columns import UNSEEN, Column, Floats, Kind
from marmita.registry.onnx_model import OnnxModel
from marmita.training.conversion import BOOSTING, parts
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.faults import explain
from marmita.training.estimators.frame import Table, Values
from marmita.training.examples import Doubles
from marmita.training.packing import TOLERANCE, Comparison

MOST_USUAL = 500
"""The most rows of the training that are compared."""
MOST_MADE = 4_000
"""The most rows that are made of them for each question, over all columns."""
COMBINED = 200

_FRESH_WORDS = ("another word", "an other", "\N{GREEK SMALL LETTER ALPHA}\N{COMBINING ACUTE ACCENT}")


class Question(NamedTuple):
    """Rows that are asked of both, and what is special about them."""

    about: str
    values: Values


@dataclass(frozen=True)
class Trial:
    """A fitted estimator and its compiled model, with the rows of the training."""

    table: Table
    estimator: Any
    compiled: bytes
    rows: Floats
    spread: float
    """The unit of differences: 1 for probabilities, the deviation of a value."""
    seed: int

    def run(self) -> tuple[Table, Comparison]:
        """Return the table with the gaps and unseen words that its columns accept, and what was compared."""
        compared = [self.require(question) for question in self._usual()]
        columns = []
        for place, column in enumerate(self.table.columns):
            gaps, rows = self._accepts(self._gaps(place), required=bool(np.isnan(self.rows[:, place]).any()))
            compared.append(rows)
            unseen = False
            if column.kind is Kind.CATEGORY:
                unseen, rows = self._accepts(self._unseen(place), required=False)
                compared.append(rows)
            columns.append(replace(column, gaps=gaps, unseen=unseen))
        table = replace(self.table, columns=tuple(columns))
        compared.append(self.require(self._combined(columns)))
        return table, Comparison(sum(one.rows for one in compared), max(one.difference for one in compared))

    def require(self, question: Question) -> Comparison:
        """Compare. Raise an error if the compiled model answers otherwise, or if the estimator refuses the rows."""
        expected = self._expected(question.values)
        if isinstance(expected, Exception):
            raise CannotPackError(
                Problem.ESTIMATOR, f"the estimator does not answer {question.about}: {expected}"
            ) from expected
        difference = self._difference(question.values, expected)
        if difference > TOLERANCE:
            raise CannotPackError(
                Problem.DIFFERENCE,
                f"the compiled model differs from the estimator by {difference:.1e} for {question.about}, so nothing "
                f"is packed. {explain(self.estimator)}",
            )
        return Comparison(len(expected), difference)

    def _accepts(self, questions: Sequence[Question], required: bool) -> tuple[bool, Comparison]:
        """Return whether a contract may accept these rows. It need not, unless the training had such rows."""
        rows, largest = 0, 0.0
        for question in questions:
            expected = self._expected(question.values)
            if isinstance(expected, Exception):
                return False, Comparison(rows, largest)
            difference = self._difference(question.values, expected)
            if difference > TOLERANCE:
                if required:
                    self.require(question)
                print(f"  {question.about} is refused: the compiled model would answer otherwise")
                return False, Comparison(rows, largest)
            rows, largest = rows + len(expected), max(largest, difference)
        return True, Comparison(rows, largest)

    def _expected(self, values: Values) -> Doubles | Exception:
        """Return the estimator's answers, or its error. What is no finite number is no answer."""
        try:
            answers = answer(self.estimator, self.table.native(values))
        except Exception as error:  # an estimator may raise anything
            return error
        return answers if np.isfinite(answers).all() else ValueError("its answers are no finite numbers")

    def _difference(self, values: Values, expected: Doubles) -> float:
        try:
            found = self._model(self.table.encode(values)).astype(np.float64)
        except Exception:  # ONNX Runtime's errors have no base class of their own
            return inf
        if found.shape != expected.shape or not np.isfinite(found).all():
            return inf
        return float(np.max(np.abs(found - expected) / scale(self.estimator, expected, self.spread)))

    @cached_property
    def _model(self) -> OnnxModel:
        return OnnxModel(self.compiled)

    @cached_property
    def _base(self) -> Floats:
        """A few rows of the training, of which others are made."""
        count = int(np.clip(MOST_MADE // len(self.table.columns), 3, 20))
        return self._sample(self.rows, count)

    def _usual(self) -> Iterator[Question]:
        yield Question("rows of the training", self.table.decode(self._sample(self.rows, MOST_USUAL)))
        for place, column in enumerate(self.table.columns):
            if column.kind is Kind.CATEGORY:
                continue
            values = self._near(place, column)
            if len(values):
                rows = self._base[np.arange(len(values)) % len(self._base)].copy()
                rows[:, place] = values
                yield Question(f"values of the column {column.name} next to thresholds", self.table.decode(rows))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column may have gaps only
            ends = np.stack([np.nanmin(self.rows, axis=0), np.nanmax(self.rows, axis=0)])
        yield Question("the smallest and greatest values of all columns", self.table.decode(ends))

    def _near(self, place: int, column: Column) -> Floats:
        """Return values between which a model may decide: halfway between values of the training, and thresholds."""
        known = np.unique(self.rows[:, place][~np.isnan(self.rows[:, place])])
        if column.kind is Kind.BOOLEAN or not len(known):
            return known
        count = int(np.clip(MOST_MADE // len(self.table.columns) // 6, 3, 50))
        if column.kind is Kind.INTEGER:
            chosen = self._sample(known, count)
            return np.unique(np.concatenate([chosen - 1, chosen, chosen + 1, known[[0, -1]]])).astype(np.float32)
        halves = (known[1:].astype(np.float64) + known[:-1]) / 2
        thresholds = self._thresholds.get(place, np.empty(0))
        near = np.concatenate([self._sample(halves, count), self._sample(thresholds, count)]).astype(np.float32)
        around = [np.nextafter(near, np.float32(-inf)), near, np.nextafter(near, np.float32(inf))]
        return np.concatenate([*around, self._sample(known, count), known[[0, -1]]]).astype(np.float32)

    @cached_property
    def _thresholds(self) -> dict[int, Doubles]:
        """The thresholds of the trees that take the table's columns as they are."""
        found: dict[int, list[Doubles]] = {}
        for features, thresholds in _tree_thresholds(self.estimator, len(self.table.columns)):
            for place in np.unique(features):
                found.setdefault(int(place), []).append(thresholds[features == place])
        return {place: np.unique(np.concatenate(each)) for place, each in found.items()}

    def _gaps(self, place: int) -> list[Question]:
        rows = self._base.copy()
        rows[:, place] = np.nan
        return [Question(f"a gap in the column {self.table.columns[place].name}", self.table.decode(rows))]

    def _unseen(self, place: int) -> list[Question]:
        rows = self._base.copy()
        rows[:, place] = UNSEEN
        column = self.table.columns[place]
        about = f"an unseen word in the column {column.name}"
        return [Question(about, self.table.decode(rows, word)) for word in unseen_words(column.categories)]

    def _combined(self, columns: Sequence[Column]) -> Question:
        """Make rows with several gaps and unseen words at once, where columns accept them."""
        generator = np.random.default_rng(self.seed)
        rows = self._base[np.arange(COMBINED) % len(self._base)].copy()
        for place, column in enumerate(columns):
            share = generator.uniform(size=COMBINED)
            if column.gaps:
                rows[share < 0.3, place] = np.nan
            if column.unseen:
                rows[share > 0.7, place] = UNSEEN
        return Question("gaps and unseen words in several columns", self.table.decode(rows, _FRESH_WORDS[0]))

    def _sample(self, values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
        if len(values) <= count:
            return values
        chosen = np.random.default_rng(self.seed).choice(len(values), size=count, replace=False)
        return values[np.sort(chosen)]


def answer(estimator: Any, given: Any) -> Doubles:
    """Return an estimator's answers: a column for the probability of each class, or one of values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unseen words that an encoder ignores, say
        found = estimator.predict_proba(given) if is_classifier(estimator) else estimator.predict(given)
    return np.asarray(found, dtype=np.float64).reshape(len(given), -1)


def scale(estimator: Any, answers: Doubles, spread: float) -> Doubles | float:
    """Return what differences of answers are divided by: single precision is relative to a value."""
    return spread if is_classifier(estimator) else np.maximum(np.abs(answers), spread)


def unseen_words(categories: Sequence[str]) -> list[str]:
    """Return words that are no categories, but like some."""
    first, last = categories[0], categories[-1]
    like = (f"{first} {last}", first.upper(), first.lower(), f"{first} ", *_FRESH_WORDS)
    return [word for word in dict.fromkeys(like) if word not in categories]


def _tree_thresholds(estimator: Any, width: int) -> Iterator[tuple[npt.NDArray[Any], Doubles]]:
    """Yield the columns and thresholds of the nodes of each tree that takes `width` columns."""
    for _, part in parts(estimator):
        if getattr(part, "n_features_in_", None) != width:
            continue
        if isinstance(part, BOOSTING):
            for nodes in (tree.nodes for trees in part._predictors for tree in trees):
                inner = nodes[(nodes["is_leaf"] == 0) & np.isfinite(nodes["num_threshold"])]
                yield inner["feature_idx"].astype(np.intp), inner["num_threshold"]
        elif hasattr(part, "tree_"):
            inner = part.tree_.feature >= 0
            yield part.tree_.feature[inner], part.tree_.threshold[inner]
