"""Columns: their values as numbers and back."""

import numpy as np

from marmita.contract.columns import UNSEEN, UNSEEN_WORD, Column, Kind, columns_of, encoder, translate

PLAN = Column("plan", Kind.CATEGORY, categories=("basic", "pro"), gaps=True, unseen=True)
AGE = Column("age", Kind.INTEGER, gaps=True)
ACTIVE = Column("active", Kind.BOOLEAN)


def test_a_category_is_its_place_a_new_word_is_unseen_and_a_gap_is_nan() -> None:
    encoded = PLAN.encode(["pro", "basic", "gold", "", None])
    np.testing.assert_array_equal(encoded, np.array([1, 0, UNSEEN, np.nan, np.nan], np.float32))


def test_rows_are_encoded_column_by_column() -> None:
    encoded = encoder([AGE, PLAN, ACTIVE])([[40, None], ["pro", "gold"], [True, False]])
    np.testing.assert_array_equal(encoded, np.array([[40, 1, 1], [np.nan, UNSEEN, 0]], np.float32))
    assert encoded.dtype == np.float32


def test_numbers_are_decoded_to_the_values_that_they_stand_for() -> None:
    assert PLAN.decode([1.0, UNSEEN, float("nan")]) == ["pro", UNSEEN_WORD, None]
    assert AGE.decode([3.0]) == [3]
    assert ACTIVE.decode([1.0, 0.0]) == [True, False]


def test_a_contract_without_kinds_has_numbers() -> None:
    (column,) = columns_of(
        {"features": [{"name": "x", "unit": "m", "low": 0, "high": 1, "description": "", "more": 1}]}
    )
    assert (column.kind, column.low, column.high, column.gaps) == (Kind.NUMBER, 0, 1, False)


def test_rows_are_translated_between_contracts_with_other_categories() -> None:
    wanted = [AGE, Column("plan", Kind.CATEGORY, categories=("gold", "pro"), gaps=True, unseen=True)]
    rows = np.array([[0, 1], [1, 2], [UNSEEN, 3], [np.nan, np.nan]], np.float32)
    translated = translate(rows, [PLAN, AGE], wanted)
    np.testing.assert_array_equal(
        translated, np.array([[1, UNSEEN], [2, 1], [3, UNSEEN], [np.nan, np.nan]], np.float32)
    )
