"""Targets: what is to be predicted, found out from the texts of the target's column and checked."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from marmita.contract.cells import parse, shown
from marmita.contract.columns import MAX_WORD, Column, Kind
from marmita.contract.training_order import Task, TrainingErrorCode, TrainingOrder
from marmita.training.from_csv.errors import CannotLearnError, short
from marmita.training.from_csv.profiles import ColumnProfile
from marmita.training.from_csv.verdicts import kind_of, number_format, odd_values

MAX_CLASSES = 100
_MAX_AUTOMATIC = 10
"""The most distinct whole numbers that are taken for classes, unless the order says what they are."""
_NUMBERS = (Kind.NUMBER, Kind.INTEGER)


class Target(ABC):
    """The target of a training."""

    task: Task
    reason: str
    """Why it is this task."""

    @abstractmethod
    def read(self, text: str, line: int) -> float:
        """Return the number of a truth; NaN if there is none."""


@dataclass(frozen=True)
class ClassTarget(Target):
    """A target that is a class, whose number is its place among the classes."""

    classes: tuple[str, ...]
    places: Mapping[str, int]
    """The place of each text's class."""
    reason: str
    task: Task = "classification"

    def read(self, text: str, line: int) -> float:  # noqa: ARG002
        return self.places.get(text.strip(), np.nan)


@dataclass(frozen=True)
class ValueTarget(Target):
    """A target that is a number."""

    column: Column
    decimal: str
    reason: str
    task: Task = "regression"

    def read(self, text: str, line: int) -> float:
        try:
            value = parse(self.column, text, self.decimal)
        except ValueError:
            raise CannotLearnError(
                TrainingErrorCode.TARGET_NOT_NUMERIC,
                f"line {line}: {short(self.column.name)} must be a number, not {shown(text)}",
                column=self.column.name,
                row=line,
                value=text,
            ) from None
        return np.nan if value is None else float(value)


def target_of(each: ColumnProfile, order: TrainingOrder, decimal: str) -> Target:
    """Return the target that a column is. Raise an error if it can't be one."""
    if not each.values:
        raise CannotLearnError(
            TrainingErrorCode.TARGET_ALL_GAPS, f"{short(each.name)} has no value in any row", column=each.name
        )
    kind = kind_of(each, decimal)
    task, reason = _task(each, kind, order, decimal)
    if task == "classification":
        return _classes(each, kind, reason, decimal)
    if kind not in _NUMBERS:
        text, line = min(each.first.values(), key=lambda found: found[1])
        raise CannotLearnError(
            TrainingErrorCode.TARGET_NOT_NUMERIC,
            f"{short(each.name)} must have numbers to be predicted as a value, and has {shown(text)} on line {line}",
            column=each.name,
            row=line,
            value=text,
        )
    column = Column(each.name, Kind.NUMBER, gaps=True, decimal=number_format(each, decimal).decimal)
    return ValueTarget(column, decimal, reason)


def _task(each: ColumnProfile, kind: object, order: TrainingOrder, decimal: str) -> tuple[Task, str]:
    if order.known_model:
        return order.known_model.task, f"{order.model} was asked for"
    if order.task == "classification" or order.task == "regression":
        return order.task, "it was asked for"
    if kind not in _NUMBERS:
        return "classification", f"{each.distinct} different words"
    numbers = _whole_numbers(each, decimal)
    if numbers is not None and (count := len(set(numbers.values()))) <= _MAX_AUTOMATIC:
        return "classification", f"{count} different whole numbers (task: regression takes them for values)"
    return "regression", "numbers"


def _classes(each: ColumnProfile, kind: object, reason: str, decimal: str) -> ClassTarget:
    numbers = _whole_numbers(each, decimal) if kind in _NUMBERS else None
    names = {text: str(number) for text, number in numbers.items()} if numbers else {word: word for word in each.words}
    classes = sorted(set(names.values()), key=(lambda name: (int(name), name)) if numbers else None)
    if each.distinct > len(each.words) or len(classes) > MAX_CLASSES:
        raise CannotLearnError(
            TrainingErrorCode.TOO_MANY_CLASSES,
            f"{short(each.name)} has {each.distinct} different values, more than {MAX_CLASSES} classes",
            column=each.name,
        )
    if len(classes) == 1:
        raise CannotLearnError(
            TrainingErrorCode.ONE_CLASS,
            f"{short(each.name)} is {shown(classes[0])} in all rows: there is nothing to tell apart",
            column=each.name,
        )
    if longest := next((name for name in classes if len(name) > MAX_WORD), None):
        raise CannotLearnError(
            TrainingErrorCode.INVALID_VALUE,
            f"{short(each.name)} has a class of {len(longest)} characters, more than {MAX_WORD}",
            column=each.name,
            value=longest,
        )
    places = {name: place for place, name in enumerate(classes)}
    return ClassTarget(tuple(classes), {text: places[name] for text, name in names.items()}, reason)


def _whole_numbers(each: ColumnProfile, decimal: str) -> dict[str, int] | None:
    """Return the whole number that each text stands for; none if one of them is not whole."""
    if odd_values(each) or not each.counts_all:
        return None
    column = Column(each.name, decimal=number_format(each, decimal).decimal)
    found = {}
    for text in each.words:
        try:
            number = float(parse(column, text, decimal))  # type: ignore[arg-type]
        except ValueError:
            return None
        if number % 1:
            return None
        found[text] = int(number)
    return found
