"""Tables in CSV for a model: columns found by name, and answers written beside the rows."""

import csv
import io
from typing import Any

import pytest

from marmita.api.scored_csv import CsvRows, write_scored
from marmita.contract import csv_table
from marmita.contract.errors import RequestError
from tests.packed_tables import MIXED

ANSWER = {"value": 1.5, "unusual": ["a", "b"], "model": "price:v1", "id": "x-0"}


def rows_of(text: str, *, ignore_extra: bool = False) -> CsvRows:
    return CsvRows.read(csv_table.read(text.encode()), MIXED, ignore_extra=ignore_extra)


def places(error: RequestError) -> list[Any]:
    assert isinstance(error.detail, list)
    return [one["loc"] for one in error.detail]


def test_columns_are_found_by_name_in_any_order() -> None:
    rows = rows_of("is active,region,age in years\nyes,north,40\nno,south,1\n")
    assert rows.columns == [[40, 1], [None, None], ["north", "south"], [None, None], [True, False]]
    assert rows.errors == ["", ""]
    rows.check()


def test_a_row_with_an_error_leaves_the_others() -> None:
    rows = rows_of("is active,region,age in years\nyes,north,40\nno,south,x\nno,south\nno,south,1\n")
    assert rows.columns[0] == [40, 1]
    assert [bool(error) for error in rows.errors] == [False, True, True, False]
    with pytest.raises(RequestError) as error:
        rows.check()
    assert places(error.value) == [["rows", 1], ["rows", 2]]
    assert "age in years" in error.value.error
    assert "'x'" in error.value.error


def test_no_valid_row_is_told() -> None:
    assert not rows_of("is active,region,age in years\nx,x,x\n").valid


@pytest.mark.parametrize(
    ("header", "named"),
    [("is active,region", ["age in years"]), ("is active,region,age in years,=x,../y", ["=x", "../y"])],
)
def test_missing_and_further_columns_are_named(header: str, named: list[str]) -> None:
    with pytest.raises(RequestError) as error:
        rows_of(f"{header}\n{',' * header.count(',')}\n")
    assert places(error.value) == [[name] for name in named]


def test_many_and_long_names_make_no_long_error() -> None:
    header = ",".join(f"{'x' * 10_000}{number}" for number in range(100))
    with pytest.raises(RequestError) as error:
        rows_of(f"is active,region,age in years,{header}\n1\n")
    assert len(error.value.error) < 1_000
    assert all(len(str(name)) <= 100 for (name,) in places(error.value))


def test_further_columns_are_ignored_on_demand() -> None:
    assert rows_of("more,is active,region,age in years\nx,yes,north,40\n", ignore_extra=True).valid


def scored(header: list[str], rows: list[list[Any]], answers: list[Any]) -> list[list[str]]:
    content = write_scored(header, rows, answers, ["value"], lambda answer: [answer["value"]], ",")
    return list(csv.reader(io.StringIO(content.decode())))


def test_answers_and_errors_stand_beside_the_rows() -> None:
    assert scored(["a"], [["1"], ["=2"]], [ANSWER, "a: wrong"]) == [
        ["a", "value", "unusual", "model", "id", "error"],
        ["1", "1.5", "a; b", "price:v1", "x-0", ""],
        ["'=2", "", "", "", "", "a: wrong"],
    ]


def test_a_column_with_the_name_of_an_answers_stays_apart_from_it() -> None:
    (header, row) = scored(["value", "model"], [["1", "2"]], [ANSWER])
    assert header == ["value", "model", "value_", "unusual", "model_", "id", "error"]
    assert row[:3] == ["1", "2", "1.5"]


def test_a_ragged_row_comes_back_with_the_width_of_the_header() -> None:
    _, short, long = scored(["a", "b"], [["1"], ["1", "2", "3"]], ["ragged", "ragged"])
    assert short == ["1", "", "", "", "", "", "ragged"]
    assert long == ["1", "2", "", "", "", "", "ragged"]
