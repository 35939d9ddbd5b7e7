"""Tables in CSV: read in any dialect, and written without formulas."""

import csv
import io

import pytest

from marmita.contract import csv_table
from marmita.contract.csv_table import MAX_COLUMNS
from marmita.contract.errors import ErrorCode, RequestError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_is_read_in_any_encoding_and_with_any_delimiter(encoding: str, delimiter: str) -> None:
    body = f'preço{delimiter}nome\r\n1{delimiter}"joão\nsilva"\r\n\r\n2{delimiter}ana'.encode(encoding)
    table = csv_table.read(body)
    assert table.header == ["preço", "nome"]
    assert table.rows == [["1", "joão\nsilva"], ["2", "ana"]]
    assert table.delimiter == delimiter


def test_a_formula_is_escaped_and_a_number_is_not() -> None:
    content = csv_table.write(["=a", "b"], [["=cmd|' /C calc'!A0", "-1.5"], ["@x", "+3"], ["-x", -2.0]], ",")
    assert list(csv.reader(io.StringIO(content.decode()))) == [
        ["'=a", "b"],
        ["'=cmd|' /C calc'!A0", "-1.5"],
        ["'@x", "+3"],
        ["'-x", "-2.0"],
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", ErrorCode.INVALID_REQUEST),
        (b"a,b\n", ErrorCode.INVALID_REQUEST),
        (b"a,a\n1,2\n", ErrorCode.INVALID_REQUEST),
        (b"a,b\n1,\x002\n", ErrorCode.INVALID_REQUEST),
        (b"a,b\n" + b'"' + b"x" * 200_000 + b'",1\n', ErrorCode.INVALID_REQUEST),
        (b",".join(b"c%d" % n for n in range(MAX_COLUMNS + 1)) + b"\n1\n", ErrorCode.TOO_MANY_ITEMS),
        (b"a,b\n" + b"1,2\n" * 11, ErrorCode.TOO_MANY_ITEMS),
    ],
    ids=["empty", "no row", "one name twice", "binary", "endless cell", "too many columns", "too many rows"],
)
def test_what_is_no_table_is_an_error(body: bytes, code: ErrorCode) -> None:
    with pytest.raises(RequestError) as error:
        csv_table.read(body, most_rows=10)
    assert error.value.code == code


def test_a_long_column_name_is_cut_in_an_error() -> None:
    name = b"x" * 10_000
    with pytest.raises(RequestError) as error:
        csv_table.read(name + b"," + name + b"\n1,2\n")
    assert len(error.value.error) < 200


def test_spaces_after_a_delimiter_belong_to_no_cell() -> None:
    table = csv_table.read(b'age, workclass\n39, "State, gov"\n')

    assert (table.header, table.rows) == (["age", "workclass"], [["39", "State, gov"]])
