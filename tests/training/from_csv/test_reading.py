"""Files are read whole or not at all: an error names the line and the column that it is about."""

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from marmita.contract.training_order import TrainingErrorCode
from marmita.training.from_csv import reading
from marmita.training.from_csv.errors import CannotLearnError
from marmita.training.from_csv.reading import CsvFile

Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_it(content: bytes) -> Path:
        file = tmp_path / "file.csv"
        file.write_bytes(content)
        return file

    return write_it


def rows(file: Path) -> list[tuple[str, ...]]:
    return [row for block in CsvFile.open(file).blocks() for row in zip(*block.columns, strict=True)]


def error(file: Path) -> CannotLearnError:
    with pytest.raises(CannotLearnError) as caught:
        rows(file)
    return caught.value


@pytest.mark.parametrize(
    ("encoding", "found", "guessed"),
    [
        ("utf-8", "utf-8", False),
        ("utf-8-sig", "utf-8-sig", False),
        ("utf-16", "utf-16", False),
        ("latin-1", "latin-1", True),
    ],
)
def test_the_encoding_is_found_out(write: Write, encoding: str, found: str, guessed: bool) -> None:
    path = write("preço;cidade\n1,5;São Paulo\n".encode(encoding))

    file = CsvFile.open(path)

    assert (file.encoding, file.is_guessed, file.header, file.decimal) == (found, guessed, ("preço", "cidade"), ",")
    assert rows(path) == [("1,5", "São Paulo")]


def test_a_byte_that_is_no_utf_8_is_found_far_inside(write: Write) -> None:
    path = write(b"a,b\n" + b"1,2\n" * 500_000 + "1,é\n".encode("latin-1"))

    assert CsvFile.open(path).encoding == "latin-1"


def test_quoted_line_breaks_belong_to_cells(write: Write) -> None:
    path = write(b'a,b\r\n"1\n2",3\r\n\r\n4,"5""6"')

    assert rows(path) == [("1\n2", "3"), ("4", '5"6')]
    assert [line for block in CsvFile.open(path).blocks() for line in block.lines] == [2, 5]


def test_all_cells_are_texts(write: Write) -> None:
    assert rows(write(b"a,b\n01234,1.50\nNA,\n")) == [("01234", "1.50"), ("NA", "")]


def test_rows_come_in_blocks(write: Write) -> None:
    path = write(b"a,b\n" + b"1,2\n3,4\n" * 6_000)

    blocks = [*CsvFile.open(path).blocks()]

    assert [len(block.lines) for block in blocks] == [5_000, 5_000, 2_000]
    assert blocks[1].lines[0] == 5_002
    assert [list(column[:2]) for column in blocks[2].columns] == [["1", "3"], ["2", "4"]]


def test_a_ragged_row_names_its_line(write: Write) -> None:
    found = error(write(b'a,b\n1,2\n"x\ny",2\n1,2,3\n'))

    assert (found.code, found.row) == (TrainingErrorCode.RAGGED_ROW, 5)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error(write: Write, content: bytes) -> None:
    assert error(write(content)).code is TrainingErrorCode.EMPTY_FILE


def test_a_header_alone_is_an_error(write: Write) -> None:
    assert error(write(b"a,b\n")).code is TrainingErrorCode.NO_ROWS


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"PK\x03\x04\x14\0\x06\0" + zlib.compress(b"x" * 1000),
        b"a,b\n" + b"1,2\n" * 300_000 + b"\0",
        "a,b\n1,2\n".encode("utf-16-le"),
    ],
)
def test_a_binary_file_is_an_error(write: Write, content: bytes) -> None:
    assert error(write(content)).code is TrainingErrorCode.BINARY_FILE


def test_a_quote_without_an_end_is_an_error_that_names_its_line(write: Write) -> None:
    found = error(write(b'a,b\n1,2\n1,"2\n' + b"1,2\n" * 100_000))

    assert (found.code, found.row) == (TrainingErrorCode.INVALID_CSV, 3)


def test_ten_thousand_columns_are_too_many(write: Write) -> None:
    header = ",".join(f"c{place}" for place in range(10_000))

    assert error(write(f"{header}\n".encode())).code is TrainingErrorCode.TOO_MANY_COLUMNS


def test_too_many_rows_or_cells_are_an_error(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(b"a,b\n" + b"1,2\n" * 100)
    monkeypatch.setattr(reading, "MAX_ROWS", 99)

    assert error(path).code is TrainingErrorCode.TOO_MANY_ROWS

    monkeypatch.setattr(reading, "MAX_ROWS", 100)
    monkeypatch.setattr(reading, "MAX_CELLS", 199)

    assert error(path).code is TrainingErrorCode.TOO_MANY_CELLS


@pytest.mark.parametrize("name", ["n" * 10_000, "a\tb", '"a\nb"', "a\x1bb", "a\x85b"])
def test_a_name_that_is_too_long_or_has_control_characters_is_an_error(write: Write, name: str) -> None:
    found = error(write(f"x,{name}\n1,2\n".encode()))

    assert (found.code, found.row) == (TrainingErrorCode.INVALID_COLUMN_NAME, 1)
    assert len(found.message) < 300
    assert len(found.column or "") < 100


def test_two_columns_of_one_name_are_an_error(write: Write) -> None:
    found = error(write(b"a,b,a\n1,2,3\n"))

    assert (found.code, found.column, found.row) == (TrainingErrorCode.DUPLICATE_COLUMN_NAME, "a", 1)


def test_names_are_texts_whatever_they_look_like(write: Write) -> None:
    names = ("../../etc/passwd", "'; DROP TABLE models; --", "<script>alert(1)</script>", "__proto__", "")

    assert CsvFile.open(write(f"{','.join(names)}\n1,2,3,4,5\n".encode())).header == names
