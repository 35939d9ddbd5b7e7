"""Columns are judged by their texts, and a verdict can be overruled."""

from typing import Any

import pytest

from marmita.contract.columns import Kind
from marmita.contract.training_order import TrainingErrorCode, TrainingOrder
from marmita.training.from_csv.errors import CannotLearnError
from marmita.training.from_csv.verdicts import (
    MAX_CATEGORIES,
    ColumnVerdict,
    Use,
    categories,
    check_kinds,
    judge,
    number_format,
)
from tests.training.from_csv.files import profiled

NAMES = [f"name {place}" for place in range(200)]


def verdict(texts: list[str], name: str = "x", decimal: str = ".", **order: Any) -> ColumnVerdict:
    made = TrainingOrder.model_validate({"name": "m", "target": "y", **order})
    return judge(profiled(texts, name), 1, made, decimal)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "2", "2", "NA"], Kind.INTEGER),
        (["1", "2.0", "2"], Kind.NUMBER),
        (["1.5", "", "2e3"], Kind.NUMBER),
        (["0", "1", "1"], Kind.INTEGER),
        (["true", "False", "TRUE"], Kind.BOOLEAN),
        (["yes", "no", "?"], Kind.BOOLEAN),
        (["t", "f"], Kind.BOOLEAN),
        (["yes", "t"], Kind.CATEGORY),
        (["y", "n", "u"], Kind.CATEGORY),
        (["n", "f"], Kind.CATEGORY),
        (["basic", "pro"], Kind.CATEGORY),
        (["01234", "90210", "00501"], Kind.CATEGORY),
        (["12 kg", "13 kg"], Kind.CATEGORY),
        (["1,5", "2.5", "1.234,5", "1,234.5"], Kind.CATEGORY),
    ],
)
def test_a_column_is_of_the_kind_that_its_texts_are(texts: list[str], kind: Kind) -> None:
    found = verdict(texts)

    assert (found.kind, found.use) == (kind, Use.USED)
    assert found.reason


@pytest.mark.parametrize(
    ("texts", "name", "use"),
    [
        (["", "NA", "?"], "x", Use.ALL_GAPS),
        (["a", "a"], "x", Use.CONSTANT),
        ([str(place) for place in range(1, 31)], "x", Use.ID),
        ([str(place * 7919 % 30) for place in range(30)], "x", Use.ID),
        ([str(place * place) for place in range(30)], "customer_id", Use.ID),
        ([str(place * place) for place in range(30)], "customerId", Use.ID),
        (NAMES, "x", Use.ID),
        ([f"0{place}" for place in range(100, 200)], "x", Use.ID),
        ([f"{name} " * 10 for name in NAMES], "x", Use.TEXT),
        ([*NAMES[:150], *NAMES[:50]], "x", Use.TEXT),
        (["2024-01-01", "2024-01-02", ""], "x", Use.DATE),
        (["1", "2"], "", Use.UNNAMED),
    ],
)
def test_columns_of_no_use_are_left_out(texts: list[str], name: str, use: Use) -> None:
    found = verdict(texts, name)

    assert (found.use, found.used) == (use, False)


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        ([str(place * place) for place in range(30)], "income"),
        ([str(place + 0.5) for place in range(30)], "customer_id"),
        ([str(place) for place in range(19)], "x"),
        ([*(str(place) for place in range(29)), ""], "x"),
        (["a", ""], "x"),
        (["paid", "valid", "paid"] * 10, "valid"),
    ],
)
def test_columns_that_only_look_like_it_are_used(texts: list[str], name: str) -> None:
    assert verdict(texts, name).use is Use.USED


def test_an_order_overrules_a_verdict() -> None:
    numbers = [str(place) for place in range(30)]

    assert verdict(numbers, kinds={"x": "integer"}).used
    assert verdict(["1", "2"], kinds={"x": "category"}).kind == Kind.CATEGORY
    assert verdict(NAMES, kinds={"x": "category"}).used
    assert verdict(["1", "2"], drop=["x", "another"]).use is Use.DROPPED
    assert verdict(["", ""], kinds={"x": "number"}).use is Use.ALL_GAPS


def test_the_kind_of_a_column_that_is_not_there_is_an_error() -> None:
    order = TrainingOrder(name="m", target="y", kinds={"z": Kind.NUMBER})

    with pytest.raises(CannotLearnError) as caught:
        check_kinds(["x", "y"], order)

    assert (caught.value.code, caught.value.column) == (TrainingErrorCode.UNKNOWN_COLUMN, "z")


def test_a_few_odd_values_among_numbers_are_told() -> None:
    found = verdict([*map(str, range(0, 300, 3)), "abc"])

    assert (found.kind, found.use, len(found.warnings)) == (Kind.INTEGER, Use.USED, 1)
    assert "'abc' on line 102" in found.warnings[0]


def test_many_odd_values_make_a_column_of_words() -> None:
    assert verdict([*map(str, range(0, 30, 3)), "abc"]).kind == Kind.CATEGORY


@pytest.mark.parametrize(
    ("texts", "file", "decimal"),
    [
        (["1.5", "2"], ".", ""),
        (["1.5", "2"], ",", ""),
        (["3,5", "2"], ",", ","),
        (["3,5", "1.234"], ".", ","),
        (["1.234,56", "2"], ".", ","),
        (["1,234.56", "2"], ",", "."),
        (["1,234", "2"], ".", "."),
        (["1,234", "2"], ",", ","),
        (["1.234", "12.345", "987"], ",", ","),
        (["1.234", "12.345", "987"], ".", ""),
        (["1.234", "12.345", "1987"], ",", ""),
        (["1.234", "0.125"], ",", ""),
    ],
)
def test_the_decimal_mark_of_a_column_is_found(texts: list[str], file: str, decimal: str) -> None:
    assert number_format(profiled(texts), file).decimal == decimal


def test_the_most_frequent_words_are_the_categories() -> None:
    assert categories(profiled(["b", "c", "a", "b", "", "a"])) == ("a", "b", "c")
    words = [f"w{place}" for place in range(2 * MAX_CATEGORIES)]

    found = verdict([*words, *words[:MAX_CATEGORIES]], kinds={"x": "category"})
    kept = categories(profiled([*words, *words[:MAX_CATEGORIES]]))

    assert found.distinct == 2 * MAX_CATEGORIES
    assert sorted(kept) == sorted(words[:MAX_CATEGORIES])


def test_a_verdict_becomes_data() -> None:
    described = verdict(["a", "b", "", "a" * 120]).described()

    assert (described["kind"], described["use"], described["gaps"]) == ("category", "used", 0.25)
    assert max(len(each) for each in described["examples"]) < 100
