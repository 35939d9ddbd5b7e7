"""The material of a training: what a file has to learn from, once its columns were judged."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from marmita.contract.cells import shown
from marmita.contract.columns import Column, Kind
from marmita.contract.training_order import TrainingErrorCode, TrainingOrder
from marmita.training.estimators.fitting import FEWEST_HELD_OUT, FEWEST_ROWS
from marmita.training.examples import Examples
from marmita.training.from_csv.encoding import ColumnSource, encode, usable
from marmita.training.from_csv.errors import CannotLearnError, short
from marmita.training.from_csv.leaks import SUSPICIOUS, is_the_target, score_alone
from marmita.training.from_csv.lessons import Lesson
from marmita.training.from_csv.profiles import ColumnProfile, profile
from marmita.training.from_csv.reading import CsvFile
from marmita.training.from_csv.targets import ClassTarget, Target, target_of
from marmita.training.from_csv.verdicts import (
    ColumnVerdict,
    Use,
    categories,
    check_kinds,
    is_number,
    judge,
    number_format,
)

MIN_OF_CLASS = 2
"""The fewest different rows of a class to learn from."""


class Reason(NamedTuple):
    """Why a column is left out, seen only once it was read."""

    use: Use
    text: str


@dataclass(frozen=True)
class Material:
    """What a file has to learn from."""

    file: CsvFile
    target: Target
    target_name: str
    verdicts: tuple[ColumnVerdict, ...]
    """The verdicts on all columns but the target."""
    columns: tuple[Column, ...]
    examples: Examples[np.float64]
    without_truth: int

    @property
    def classes(self) -> tuple[str, ...]:
        return self.target.classes if isinstance(self.target, ClassTarget) else ()

    @property
    def seen(self) -> Lesson:
        """The rows to learn from."""
        return Lesson(self.columns, *self.examples.seen, self.classes)

    @property
    def unseen(self) -> Lesson:
        """The held-out rows."""
        return Lesson(self.columns, *self.examples.unseen, self.classes)

    def without(self, reasons: Mapping[str, Reason]) -> "Material":
        """Return the material without these columns."""
        kept = [place for place, column in enumerate(self.columns) if column.name not in reasons]
        material = replace(
            self,
            verdicts=tuple(
                each.left_out(*reasons[each.name]) if each.name in reasons else each for each in self.verdicts
            ),
            columns=tuple(self.columns[place] for place in kept),
            examples=replace(self.examples, features=self.examples.features[:, kept]) if reasons else self.examples,
        )
        _check_columns(material.verdicts)
        return material

    def described(self) -> dict[str, Any]:
        """Return what was found in the file as data for the model's card."""
        return {
            "file": {
                "encoding": self.file.encoding,
                "encoding_is_guessed": self.file.is_guessed,
                "delimiter": self.file.delimiter,
                "rows": len(self.examples.truths) + self.without_truth,
                "rows_without_target": self.without_truth,
                "repeated_rows": len(self.examples.truths) - len(self._distinct()),
            },
            "target": {"column": self.target_name, "task": self.target.task, "reason": self.target.reason},
            "columns": [verdict.described() for verdict in self.verdicts],
        }

    def _distinct(self) -> Any:
        both = np.column_stack([self.examples.features, self.examples.truths.astype(np.float32)])
        return Lesson((), both, self.examples.truths).distinct[1]


def read(path: Path, order: TrainingOrder) -> Material:
    """Read a file, judge its columns, and return what can be learned from."""
    file = CsvFile.open(path)
    place = _target_place(file, order)
    check_kinds(file.header, order)
    profiles = profile(file.header, file.blocks())
    target = target_of(profiles[place], order, file.decimal)
    verdicts = {
        other: judge(each, other + 1, order, file.decimal) for other, each in enumerate(profiles) if other != place
    }
    _check_columns(verdicts.values())
    sources = [
        _source(other, verdict, profiles[other], order, file.decimal)
        for other, verdict in verdicts.items()
        if verdict.used
    ]
    encoded = encode(file, sources, target, place, profiles[place].rows)
    _check_rows(encoded.examples)
    material = Material(
        file=file,
        target=target,
        target_name=order.target,
        verdicts=tuple(verdicts.values()),
        columns=tuple(encoded.columns),
        examples=encoded.examples,
        without_truth=encoded.without_truth,
    )
    constant = Reason(Use.CONSTANT, "it has only one value in the rows to learn from")
    kept = usable(encoded.examples)
    return material.without(
        {column.name: constant for column, keep in zip(encoded.columns, kept, strict=True) if not keep}
    )


def without_leaks(material: Material, seed: int) -> Material:
    """Leave out columns that are the target under another name, and warn of those that tell it alone."""
    lesson, task = material.seen, material.target.task
    same, alone = {}, {}
    for place, column in enumerate(material.columns):
        values = lesson.rows[:, place]
        if is_the_target(column, values, lesson.truths, task):
            same[column.name] = Reason(Use.SAME_AS_TARGET, f"it is {short(material.target_name)} in another form")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class that none of the sample's rows has
            score = score_alone(values, lesson.truths, task, seed, len(material.columns))
        if score >= SUSPICIOUS:
            alone[column.name] = (
                f"this column alone gives {score:.2f} of 1: will it be known when there is something to predict?"
            )
    verdicts = (each.warned(alone[each.name]) if each.name in alone else each for each in material.verdicts)
    return replace(material, verdicts=tuple(verdicts)).without(same)


def check(material: Material) -> None:
    """Raise an error unless there are enough rows of each class to learn from."""
    if not material.classes:
        return
    lesson = material.seen
    distinct = lesson.truths[lesson.distinct[1]].astype(np.intp)
    counts = np.bincount(distinct, minlength=len(material.classes))
    rare = int(counts.argmin())
    if counts[rare] < MIN_OF_CLASS:
        name = material.classes[rare]
        raise CannotLearnError(
            TrainingErrorCode.CLASS_TOO_SMALL,
            f"{short(material.target_name)} is {shown(name)} in {counts[rare]} different rows to learn from, and needs "
            f"{MIN_OF_CLASS}: a fifth is held out. Add rows of it, leave it out, or join it with another",
            column=material.target_name,
            value=name,
        )


def _target_place(file: CsvFile, order: TrainingOrder) -> int:
    if order.target in file.header:
        return file.header.index(order.target)
    numbers = sum(is_number(name) for name in file.header)
    if numbers * 2 >= len(file.header):
        raise CannotLearnError(
            TrainingErrorCode.NO_HEADER,
            f"the first line has {numbers} numbers in {len(file.header)} cells: it must be a header with names",
            row=1,
        )
    raise CannotLearnError(
        TrainingErrorCode.TARGET_NOT_FOUND,
        f"the file has no column {short(order.target)!r}: it has {_listed(file.header)}",
        column=order.target,
        row=1,
    )


def _listed(names: Iterable[str]) -> str:
    shown_names = [short(name) for name in names if name]
    more = f" and {len(shown_names) - _MOST_LISTED} more" if len(shown_names) > _MOST_LISTED else ""
    return ", ".join(shown_names[:_MOST_LISTED]) + more


_MOST_LISTED = 10


def _source(
    place: int, verdict: ColumnVerdict, each: ColumnProfile, order: TrainingOrder, decimal: str
) -> ColumnSource:
    kind = Kind(verdict.kind)
    is_word = kind is Kind.CATEGORY
    column = Column(
        verdict.name,
        kind,
        categories=categories(each) if is_word else (),
        gaps=True,
        unseen=is_word,
        decimal=number_format(each, decimal).decimal if kind in (Kind.NUMBER, Kind.INTEGER) else "",
    )
    return ColumnSource(place, column, strict=verdict.name in order.kinds)


def _check_columns(verdicts: Iterable[ColumnVerdict]) -> None:
    if not any(verdict.used for verdict in verdicts):
        why = "; ".join(f"{short(verdict.name)}: {verdict.reason}" for verdict in list(verdicts)[:_MOST_LISTED])
        raise CannotLearnError(
            TrainingErrorCode.NO_USABLE_COLUMN, f"no column is left to learn from ({why or 'there is only the target'})"
        )


def _check_rows(examples: Examples[np.float64]) -> None:
    rows, unseen = len(examples.truths), int(np.sum(examples.held_out))
    if rows < FEWEST_ROWS or unseen < FEWEST_HELD_OUT:
        raise CannotLearnError(
            TrainingErrorCode.TOO_FEW_ROWS,
            f"{rows} rows have a target, of which {unseen} are held out: it takes {FEWEST_ROWS}, and "
            f"{FEWEST_HELD_OUT} of them held out, to score a model",
        )
