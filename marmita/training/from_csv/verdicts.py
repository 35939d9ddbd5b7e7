"""Verdicts on columns: of what kind each is, why, and whether a model learns from it."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from marmita.contract.cells import shown
from marmita.contract.columns import MAX_WORD, Kind
from marmita.contract.training_order import TrainingErrorCode, TrainingOrder
from marmita.training.from_csv.errors import CannotLearnError, short
from marmita.training.from_csv.profiles import NUMBERS, ColumnProfile, Shape, shape_of

MAX_CATEGORIES = 1_000
"""The most categories of a column. Rarer words are treated like those that the training has not seen."""

_MOST_ODD = 0.05
"""The largest share of a column of numbers that may be something else, which is taken for gaps."""
_MIN_ROWS_OF_ID = 20
_DISTINCT_OF_ID = 0.95
_DENSE = 1.1
"""How much wider than the number of rows the range of row numbers may be."""
_LONG = 50
_DISTINCT_OF_TEXT = 0.5
_MIN_WORDS_OF_TEXT = 100
_ID_NAME = re.compile(r"(?:.*[^a-z])?(?:id|uuid|guid|key|index)|.*[a-z](?-i:I[dD])", re.IGNORECASE | re.DOTALL)
_BOOLEANS = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
_THOUSAND = 1_000
_DECIMALS = (Shape.POINT, Shape.COMMA, Shape.THOUSANDS_BY_COMMA, Shape.THOUSANDS_BY_POINT)


class Use(StrEnum):
    """What is done with a column."""

    USED = "used"
    DROPPED = "dropped"
    UNNAMED = "unnamed"
    ALL_GAPS = "all_gaps"
    CONSTANT = "constant"
    ID = "id"
    TEXT = "text"
    DATE = "date"
    SAME_AS_TARGET = "same_as_target"


@dataclass(frozen=True)
class ColumnVerdict:
    """The verdict on one column."""

    name: str
    kind: str
    """The kind of its values; `text` and `date` are kinds that no model learns from yet."""
    use: Use
    reason: str
    gaps: float
    """The share of gaps."""
    distinct: int
    examples: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def used(self) -> bool:
        return self.use is Use.USED

    def left_out(self, use: Use, reason: str) -> "ColumnVerdict":
        return replace(self, use=use, reason=reason)

    def warned(self, warning: str) -> "ColumnVerdict":
        return replace(self, warnings=(*self.warnings, warning))

    def described(self) -> dict[str, Any]:
        """Return the verdict as data for the model's card."""
        return asdict(self) | {"gaps": round(self.gaps, 4)}


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written, and whether they are whole."""

    decimal: str = ""
    """As in `Column`."""
    whole: bool = False


def judge(each: ColumnProfile, place: int, order: TrainingOrder, decimal: str) -> ColumnVerdict:
    """Return the verdict on a column. `decimal` is the decimal mark of the file."""
    verdict = ColumnVerdict(
        name=each.name,
        kind=Kind.CATEGORY,
        use=Use.USED,
        reason="",
        gaps=each.gaps / each.rows,
        distinct=each.distinct,
        examples=tuple(map(short, each.examples)),
    )
    if not each.name:
        return verdict.left_out(Use.UNNAMED, f"column {place} has no name")
    if each.name in order.drop:
        return verdict.left_out(Use.DROPPED, "it was to be left out")
    if not each.values:
        return verdict.left_out(Use.ALL_GAPS, "it has no value")
    wanted = order.kinds.get(each.name)
    verdict = replace(verdict, kind=wanted, reason="as ordered") if wanted else _by_its_texts(verdict, each, decimal)
    if each.distinct == 1 and not each.gaps:
        return verdict.left_out(Use.CONSTANT, "it has only one value")
    return verdict


def check_kinds(header: Sequence[str], order: TrainingOrder) -> None:
    """Raise an error if the order names the kind of a column that the file has not."""
    for name in order.kinds:
        if name not in header:
            raise CannotLearnError(
                TrainingErrorCode.UNKNOWN_COLUMN, f"kinds: the file has no column {short(name)!r}", column=name
            )


def kind_of(each: ColumnProfile, decimal: str) -> Kind | Use:
    """Return the kind of a column by its texts; `Use.DATE` or `Use.TEXT` if it is no kind that a model learns from."""
    if _is_boolean(each):
        return Kind.BOOLEAN
    if _is_numeric(each):
        return Kind.INTEGER if number_format(each, decimal).whole else Kind.NUMBER
    if each.shapes[Shape.DATE] >= (1 - _MOST_ODD) * each.values:
        return Use.DATE
    return Use.TEXT if each.mean_length > _LONG or _is_mostly_distinct(each) else Kind.CATEGORY


def number_format(each: ColumnProfile, decimal: str) -> NumberFormat:
    """Return how the numbers of a column are written. `decimal` is the decimal mark of the file."""
    shapes = each.shapes
    whole = set(shapes) <= {Shape.INTEGER, Shape.CODE, Shape.OTHER}
    if shapes[Shape.THOUSANDS_BY_COMMA]:
        return NumberFormat(".")
    if shapes[Shape.THOUSANDS_BY_POINT] or shapes[Shape.COMMA]:
        return NumberFormat(",")
    if shapes[Shape.COMMA_3]:  # decimals in a file with commas for decimals, and thousands in any other
        return NumberFormat(decimal if decimal == "," else ".")
    if shapes[Shape.POINT_3] and decimal == "," and _have_thousands(each):
        return NumberFormat(",")
    return NumberFormat("", whole)


def is_number(text: str) -> bool:
    """Tell whether a text is a number."""
    return shape_of(text.strip()) in NUMBERS


def odd_values(each: ColumnProfile) -> int:
    """Return how many values of a column of numbers are something else."""
    return each.values - _numbers(each)


def _by_its_texts(verdict: ColumnVerdict, each: ColumnProfile, decimal: str) -> ColumnVerdict:
    kind = kind_of(each, decimal)
    match kind:
        case Kind.INTEGER | Kind.NUMBER:
            return _judge_numbers(replace(verdict, kind=kind), each, decimal)
        case Kind.BOOLEAN:
            return replace(verdict, kind=kind, reason=f"its values are {' and '.join(sorted(_lower(each)))}")
        case Use.DATE:
            dated = replace(verdict, kind="date").warned(
                "no model learns from dates yet: add what matters of them as numbers, such as the month or an age"
            )
            return dated.left_out(Use.DATE, "its values are dates")
        case Use.TEXT if _is_id(each):
            return verdict.left_out(Use.ID, f"nearly each of its {each.values} values is there once: it names the row")
        case Use.TEXT:
            free = replace(verdict, kind="text").warned("no model learns from texts yet")
            return free.left_out(Use.TEXT, _about_text(each))
        case _:
            return _judge_words(verdict, each)


def _judge_numbers(verdict: ColumnVerdict, each: ColumnProfile, decimal: str) -> ColumnVerdict:
    if _is_row_number(each):
        return verdict.left_out(Use.ID, "whole numbers that are all different and count or name the rows")
    form = number_format(each, decimal)
    marks = {",": " with a decimal comma", ".": " with commas between thousands"}
    reason = "whole numbers" if form.whole else f"numbers{marks.get(form.decimal, '')}"
    verdict = replace(verdict, reason=reason)
    if odd := odd_values(each):
        text, line = each.first[Shape.OTHER if Shape.OTHER in each.first else _first_odd(each)]
        verdict = verdict.warned(
            f"{odd} of {each.values} values are no numbers and were taken for gaps, the first is {shown(text)} "
            f"on line {line}"
        )
    return verdict


def _judge_words(verdict: ColumnVerdict, each: ColumnProfile) -> ColumnVerdict:
    codes = ", with a zero in front, so no numbers" if each.shapes[Shape.CODE] else ""
    verdict = replace(verdict, reason=f"{each.distinct} different words{codes}")
    if each.distinct > MAX_CATEGORIES:
        verdict = verdict.warned(
            f"the {MAX_CATEGORIES} most frequent words are categories, and the others are treated like unknown ones"
        )
    return verdict


def categories(each: ColumnProfile) -> tuple[str, ...]:
    """Return the categories of a column of words, the most frequent first."""
    ordered = sorted(each.words.items(), key=lambda one: (-one[1], one[0]))
    return tuple(word for word, _ in ordered[:MAX_CATEGORIES] if len(word) <= MAX_WORD)


def _is_boolean(each: ColumnProfile) -> bool:
    return each.shapes[Shape.BOOLEAN] == each.values and _lower(each) in _BOOLEANS


def _lower(each: ColumnProfile) -> set[str]:
    return {word.lower() for word in each.words}


def _is_numeric(each: ColumnProfile) -> bool:
    clash = each.shapes[Shape.THOUSANDS_BY_COMMA] and (
        each.shapes[Shape.THOUSANDS_BY_POINT] or each.shapes[Shape.COMMA]
    )
    return not clash and _numbers(each) >= (1 - _MOST_ODD) * each.values


def _numbers(each: ColumnProfile) -> int:
    """Return how many values are numbers. Digits after a zero are codes unless the column has decimals."""
    has_decimals = any(each.shapes[shape] for shape in _DECIMALS)
    codes = each.shapes[Shape.CODE]
    return each.numbers + codes if has_decimals or not codes else 0


def _have_thousands(each: ColumnProfile) -> bool:
    """Tell whether points before three digits separate thousands: numbers below a thousand are there without one."""
    small = [word for word in each.words if shape_of(word) is Shape.INTEGER]
    only = set(each.shapes) <= {Shape.POINT_3, Shape.INTEGER, Shape.OTHER}
    return only and bool(small) and all(abs(int(word)) < _THOUSAND for word in small)


def _is_row_number(each: ColumnProfile) -> bool:
    """Tell whether whole numbers count or name the rows."""
    rows = each.values
    if set(each.shapes) != {Shape.INTEGER} or each.gaps or rows < _MIN_ROWS_OF_ID or each.distinct < rows:
        return False
    return each.counts_up or each.high - each.low < _DENSE * rows or bool(_ID_NAME.fullmatch(each.name))


def _is_mostly_distinct(each: ColumnProfile) -> bool:
    return _is_id(each) or each.distinct > max(_MIN_WORDS_OF_TEXT, _DISTINCT_OF_TEXT * each.values)


def _is_id(each: ColumnProfile) -> bool:
    enough = each.values >= _MIN_ROWS_OF_ID and each.distinct >= _DISTINCT_OF_ID * each.values
    return enough and each.mean_length <= _LONG


def _about_text(each: ColumnProfile) -> str:
    if each.mean_length > _LONG:
        return f"texts of {each.mean_length:.0f} characters on average"
    return f"{each.distinct} different texts in {each.values} values: too many to learn from each"


def _first_odd(each: ColumnProfile) -> Shape:
    return min((Shape.DATE, Shape.BOOLEAN), key=lambda shape: each.first.get(shape, ("", 10**9))[1])
