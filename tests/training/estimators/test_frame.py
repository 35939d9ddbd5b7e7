"""What a notebook's table is: its kinds of columns, and rows that are the same in both forms."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from marmita.contract.columns import UNSEEN, UNSEEN_WORD, Kind
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.frame import MOST_CATEGORIES, Table, held_out_rows
from tests.training.estimators import sample


def column(values: Any, dtype: Any = None) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


@pytest.mark.parametrize(
    ("frame", "kind", "numbers"),
    [
        (column([1.5, 2.0, np.nan]), Kind.NUMBER, [1.5, 2.0, np.nan]),
        (column([1.0, 2.0]), Kind.NUMBER, [1, 2]),
        (column([1, 2], "float32"), Kind.NUMBER, [1, 2]),
        (column([1, 2]), Kind.INTEGER, [1, 2]),
        (column([1, 2], "uint8"), Kind.INTEGER, [1, 2]),
        (column([1, None], "Int64"), Kind.INTEGER, [1, np.nan]),
        (column([1, None], object), Kind.INTEGER, [1, np.nan]),
        (column([Decimal("1.5"), None], object), Kind.NUMBER, [1.5, np.nan]),
        (column([1.5, None], "Float64"), Kind.NUMBER, [1.5, np.nan]),
        (column([True, False]), Kind.BOOLEAN, [1, 0]),
        (column([True, None], "boolean"), Kind.BOOLEAN, [1, np.nan]),
        (column([True, None], object), Kind.BOOLEAN, [1, np.nan]),
        (column(["b", "a", "b"]), Kind.CATEGORY, [1, 0, 1]),
        (column(["b", "a", None], object), Kind.CATEGORY, [1, 0, np.nan]),
        (column(["b", "a", np.nan], "str"), Kind.CATEGORY, [1, 0, np.nan]),
        (column(["b", "a", None], "string"), Kind.CATEGORY, [1, 0, np.nan]),
        (column(["b", "a", None], "category"), Kind.CATEGORY, [1, 0, np.nan]),
        (column(["b", "a", ""]), Kind.CATEGORY, [1, 0, np.nan]),
    ],
)
def test_a_column_has_the_kind_of_its_values(frame: pd.DataFrame, kind: Kind, numbers: list[float]) -> None:
    table, values = Table.read(frame)
    table = table.learn(values)

    assert table.columns[0].kind is kind
    np.testing.assert_array_equal(table.encode(values)[:, 0], np.array(numbers, dtype=np.float32))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), Problem.COLUMN),
        ([datetime(2024, 1, 1, tzinfo=UTC), None], Problem.COLUMN),
        (pd.to_timedelta([1, 2], unit="s"), Problem.COLUMN),
        ([1j, 2j], Problem.COLUMN),
        ([1, "a"], Problem.COLUMN),
        ([b"a", b"b"], Problem.COLUMN),
        ([None, None], Problem.COLUMN),
        (pd.Categorical([1, 2]), Problem.COLUMN),
        ([1.0, np.inf], Problem.VALUE),
        ([1.0, 1e39], Problem.VALUE),
        (["a", "a" * 1_001], Problem.VALUE),
        (["a", "b\0"], Problem.VALUE),
        (pd.Series(["a", "\ud800"], dtype=object), Problem.VALUE),
    ],
)
def test_an_error_names_the_column_that_is_not_supported(values: Any, problem: Problem) -> None:
    with pytest.raises(CannotPackError, match="the column odd") as error:
        Table.read(pd.DataFrame({"fine": [1, 2], "odd": values}))

    assert error.value.code is problem


def test_an_error_names_the_row_of_a_value() -> None:
    frame = pd.DataFrame({"x": [1.0, np.inf, 2.0]}, index=["first", "second", "third"])

    with pytest.raises(CannotPackError, match=r"row second: .*inf"):
        Table.read(frame)


@pytest.mark.parametrize("name", ["", "a" * 201, "a\nb", "a\0", "\ud800", None, 1.5, ("a", "b")])
def test_names_of_columns_are_text_without_control_characters(name: Any) -> None:
    frame = pd.DataFrame([[1], [2]])
    frame.columns = pd.Index([name], dtype=object, tupleize_cols=False)

    with pytest.raises(CannotPackError) as error:
        Table.read(frame)

    assert error.value.code is Problem.TABLE


@pytest.mark.parametrize("names", [["a", "a"], ["0", 0]])
def test_no_two_columns_have_the_same_name(names: list[Any]) -> None:
    with pytest.raises(CannotPackError) as error:
        Table.read(pd.DataFrame([[1, 2]], columns=names))

    assert error.value.code is Problem.TABLE


@pytest.mark.parametrize("given", [[[1, 2]], np.zeros(3), pd.Series([1, 2]), pd.DataFrame(), np.zeros((0, 2))])
def test_a_table_has_two_dimensions(given: Any) -> None:
    with pytest.raises(CannotPackError) as error:
        Table.read(given)

    assert error.value.code is Problem.TABLE


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.array([[1.5, 2.0], [np.nan, 4.0]]), np.float64),
        (np.array([[1, 2], [3, 4]], dtype=np.int32), np.int64),
        (np.array([["a", "b"], ["c", "d"]]), object),
        (np.array([["a", 1], ["c", 2]], dtype=object), object),
    ],
)
def test_an_estimator_of_arrays_gets_arrays(given: Any, dtype: Any) -> None:
    table, values = Table.read(given)

    assert [column.name for column in table.columns] == ["x0", "x1"]
    native = table.native(values)
    assert native.dtype == dtype
    assert pd.DataFrame(native).astype(str).equals(pd.DataFrame(given).astype(str))


def test_too_many_words_are_text_or_an_id() -> None:
    table, values = Table.read(column([f"w{place}" for place in range(MOST_CATEGORIES + 1)]))

    with pytest.raises(CannotPackError, match=r"the column x .*looks like text or an id") as error:
        table.learn(values)

    assert error.value.code is Problem.COLUMN


def test_rows_are_the_same_in_both_forms() -> None:
    frame = sample.table()
    table, values = Table.read(frame)
    table = table.learn(values)

    again = table.decode(table.encode(values))

    pd.testing.assert_frame_equal(table.native(again), table.native(values))
    single = frame[sample.SCORE].astype(np.float32).astype(np.float64)
    expected = frame.assign(**{sample.SCORE: single, sample.PRICE: frame[sample.PRICE].astype("float32").astype(float)})
    pd.testing.assert_frame_equal(table.native(again), expected)


@pytest.mark.parametrize(("dtype", "gap"), [("str", np.nan), (object, None), (object, ""), ("category", np.nan)])
def test_an_estimator_gets_gaps_and_unseen_words_in_its_own_form(dtype: Any, gap: Any) -> None:
    table, values = Table.read(column(["a", "b", gap], dtype))
    table = table.learn(values)
    rows = np.array([[0], [UNSEEN], [np.nan]], dtype=np.float32)

    found = table.native(table.decode(rows, "new"))["x"]

    assert found.iloc[:2].tolist() == ["a", "new"]
    assert found.iloc[2] is gap or (found.iloc[2] != found.iloc[2] and gap != gap)  # NaN is not itself
    assert table.decode(rows)[0].tolist() == ["a", UNSEEN_WORD, None]


def test_words_of_other_rows_are_unseen() -> None:
    table, values = Table.read(column(["a", "b"]))
    table = table.learn(values)

    more = table.read_more(column(["b", "c", None]))

    np.testing.assert_array_equal(table.encode(more)[:, 0], np.array([1, UNSEEN, np.nan], dtype=np.float32))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (pd.DataFrame({"y": [1]}), Problem.TABLE),
        (pd.DataFrame({"x": ["a"]}), Problem.COLUMN),
        (pd.DataFrame({"x": [1.5]}), Problem.VALUE),
    ],
)
def test_other_rows_have_the_same_columns(more: pd.DataFrame, problem: Problem) -> None:
    table, _ = Table.read(column([1, 2]))

    with pytest.raises(CannotPackError) as error:
        table.read_more(more)

    assert error.value.code is problem


def test_which_rows_are_held_out_depends_on_their_own_values_only() -> None:
    frame = sample.table()
    _, values = Table.read(frame)
    half = frame.iloc[::2].sample(frac=1, random_state=3)

    _, others = Table.read(half)

    everything = pd.Series(held_out_rows(values), frame.index)
    assert everything.loc[half.index].tolist() == held_out_rows(others).tolist()
    assert 0.12 < everything.mean() < 0.28


def test_equal_rows_are_on_one_side() -> None:
    _, values = Table.read(pd.DataFrame({"x": [0.1, -0.0, 0.1, 0.0], "w": ["a", "b", "a", "b"]}))

    first, second, third, fourth = held_out_rows(values)

    assert (first, second) == (third, fourth)


def test_the_column_that_rounding_hurts_most_is_named() -> None:
    frame = pd.DataFrame({"small": [0.1, 0.2, 0.3], "seconds": 1.7e9 + np.array([0.0, 1.0, 2.0]), "w": ["a", "b", "c"]})
    table, _ = Table.read(frame)

    assert table.most_rounded(frame) == "seconds"
