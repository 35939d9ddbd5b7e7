"""Reading rows takes what the request's class takes, rejects what it rejects, and gives the same numbers to the bit.

The class is the contract: the reader only has a shorter way for what is as it should be.
"""

import json
import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import ConfigDict, ValidationError

from marmita.contract.requests import MAX_ROWS
from marmita.contract.rows import Row, RowsReader, also_known_as, feature, features, rows_request


class Leaf(Row):
    """One leaf."""

    model_config = ConfigDict(alias_generator=also_known_as({"width": "leaf width", "ph": "pH"}))

    length: float = feature("Length", unit="cm", low=0.1, high=30, example=5.1)
    width: float = feature("Width", unit="cm", low=-1e300, high=1e300, example=3)
    ph: float = feature("Acidity", unit="pH", low=-14, high=14, example=7)


class Lone(Row):
    """A row with one feature."""

    x: float = feature("X", unit="1", low=-1e308, high=1e308, example=1)


LEAVES = rows_request(Leaf, "leaves")
LONE = rows_request(Lone, "items")
READERS = {LEAVES: RowsReader(Leaf, LEAVES, "leaves"), LONE: RowsReader(Lone, LONE, "items")}
ROWS: dict[Any, type[Row]] = {LEAVES: Leaf, LONE: Lone}

GOOD = '{"length": 5.1, "width": 3, "ph": -0.5}'

NUMBERS = [
    *(
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "-1",
        "7",
        "14",
        "-14",
        "1e0",
        "1E+1",
        "1e-2",
        "0.1e1",
        "1.0000000000000000000001",
    ),
    *("5e-324", "1e-400", "-1e-400", "1e308", "1.7976931348623157e308", "1e309", "-1e309", "1e400", "-1e400"),
    *("NaN", "-NaN", "Infinity", "-Infinity", "nan", "inf", "1e", "1e+", "+1", ".5", "5.", "01", "-01", "--1", "-", ""),
    *("0x10", "1_000", "1,5", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551616"),
    *("1" * 40, "1" + "0" * 300, "1" + "0" * 308, "1" + "0" * 309, "1" + "0" * 400, "-" + "1" + "0" * 400, "1" * 5000),
    *("0." + "1" * 400, "true", "false", "null", "None", '"1"', '""', '"5.1"', "[]", "[1]", "{}", '{"a": 1}', "[[1]]"),
    *("3.4028235677973366e38", "1e39", "0.1", "0.30000000000000004", "16777217", "1e23", "2.5e-45", "1.4e-45", "7e-46"),
]


def leaves(*rows: str) -> str:
    return '{"leaves": [' + ", ".join(rows) + "]}"


def ends() -> Iterator[str]:
    """The bounds exactly, and one step beyond each of them in double and in single precision."""
    for name, low, high in (("length", 0.1, 30.0), ("ph", -14.0, 14.0)):
        for bound, beyond in ((low, -math.inf), (high, math.inf)):
            single = float(np.nextafter(np.float32(bound), np.float32(beyond)))
            for value in (bound, math.nextafter(bound, beyond), math.nextafter(bound, -beyond), single):
                yield leaves(json.dumps({"length": 5.1, "width": 3, "ph": 7} | {name: value}))


def bodies() -> Iterator[bytes]:
    for number in NUMBERS:
        for name in ("length", "width", "ph"):
            row = {"length": "5.1", "width": "3", "ph": "7"} | {name: number}
            yield leaves("{" + ", ".join(f'"{key}": {value}' for key, value in row.items()) + "}").encode()
    for body in (*ends(), *KEYS, *SHAPES):
        yield body.encode()
    yield from BYTES
    good = leaves(GOOD, GOOD)
    yield from (good[:length].encode() for length in range(len(good)))


KEYS = [
    leaves('{"length": 5.1, "width": 3}'),
    leaves('{"length": 5.1, "width": 3, "ph": 7, "extra": 1}'),
    leaves('{"length": 5.1, "width": 3, "PH": 7}'),
    leaves('{"length": 5.1, "width": 3, "pH": 7}'),
    leaves('{"length": 5.1, "leaf width": 3, "pH": 7}'),
    leaves('{"length": 5.1, "width": 2, "leaf width": 3, "pH": 7}'),
    leaves('{"length": 5.1, "leaf width": 3, "width": 2, "pH": 7}'),
    leaves('{"length": 5.1, "length": 6.1, "width": 3, "ph": 7}'),
    leaves('{"length": "x", "length": 6.1, "width": 3, "ph": 7}'),
    leaves('{"length": 6.1, "length": "x", "width": 3, "ph": 7}'),
    leaves('{"length": 5.1, "length": 6.1, "width": 3}'),
    leaves('{"ph": 7, "width": 3, "length": 5.1}'),
    leaves('{"l\\u0065ngth": 5.1, "width": 3, "ph": 7}'),
    leaves('{"l\\u0065ngth": 5.1, "length": 6.1, "width": 3, "ph": 7}'),
    leaves('{"length\\u0000": 5.1, "width": 3, "ph": 7}'),
    leaves('{"length ": 5.1, "width": 3, "ph": 7}'),
    leaves('{"\\ud800": 5.1, "length": 5.1, "width": 3, "ph": 7}'),
    leaves('{"length": 5.1, "width": 3, "ph": 7, "": 1}'),
    leaves("{length: 5.1, width: 3, ph: 7}"),
    leaves("{'length': 5.1, 'width': 3, 'ph': 7}"),
    leaves('{"length": 5.1, "width": 3, "ph": 7,}'),
    leaves('{"length": 5.1 "width": 3, "ph": 7}'),
    leaves('{"length": 5.1, "width": 3, "ph": 7} /* leaf */'),
    f'{{"leaves": [{GOOD}], "leaves": [{GOOD}, {GOOD}]}}',
    f'{{"leaves": 7, "leaves": [{GOOD}]}}',
    f'{{"leaves": [{GOOD}], "leaves": 7}}',
    f'{{"leaves": [{GOOD}], "more": 1}}',
    f'{{"le\\u0061ves": [{GOOD}]}}',
    f'{{"Leaves": [{GOOD}]}}',
]
SHAPES = [
    *(
        "",
        " ",
        "null",
        "1",
        '"leaves"',
        "true",
        "[]",
        "{}",
        "[[]]",
        '{"leaves": null}',
        '{"leaves": 1}',
        '{"leaves": {}}',
    ),
    *(
        '{"leaves": []}',
        '{"leaves": [[]]}',
        '{"leaves": [{}]}',
        '{"leaves": [null]}',
        '{"leaves": "x"}',
        '{"leaves": [1]}',
    ),
    *(f"[{GOOD}]", GOOD, leaves("[5.1, 3, 7]"), leaves(f"[{GOOD}]"), f'{{"leaves": {GOOD}}}', leaves(GOOD, "null")),
    *(leaves(GOOD, "{}"), leaves(GOOD) + "x", leaves(GOOD) + "\n\t\r ", "  " + leaves(GOOD), leaves(GOOD) * 2),
    leaves(GOOD).replace(" ", "\n\t\r  "),
    leaves(GOOD).replace(" ", ""),
    leaves(GOOD).replace(" ", "\u00a0"),
    leaves(GOOD + ","),
    leaves(GOOD).replace("]", "]]"),
    *("[" * 10_000, '{"leaves": ' * 10_000, '{"leaves": ' + "[" * 200 + "]" * 200 + "}"),
    *(leaves(*[GOOD] * MAX_ROWS), leaves(*[GOOD] * (MAX_ROWS + 1)), leaves(*[GOOD] * (3 * MAX_ROWS))),
    leaves(*[GOOD] * 500, "null", *[GOOD] * 500),
]
BYTES = [
    b"\xef\xbb\xbf" + leaves(GOOD).encode(),
    leaves(GOOD).encode("utf-16"),
    leaves(GOOD).encode("utf-32-le"),
    leaves(GOOD).encode().replace(b"length", b"l\xffngth"),
    leaves('{"length": 5.1, "width": 3, "ph": 7, "x": "').encode() + b'\xc3\x28"}]}',
    leaves(GOOD).encode().replace(b"5.1", b"5.1\xff"),
    leaves(GOOD).encode() + b"\x00",
    b"\x00" + leaves(GOOD).encode(),
    b"\xff",
]
ZOO = list(dict.fromkeys(bodies()))


def said_by_class(request: Any, body: bytes) -> Any:
    try:
        validated = request.model_validate_json(body)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False, include_context=False)
    (field,) = request.model_fields
    names = features(ROWS[request])
    with np.errstate(over="ignore"):  # of bodies with values that no model takes
        return np.array([[getattr(row, name) for name in names] for row in getattr(validated, field)], np.float32)


def said_by_reader(request: Any, body: bytes) -> Any:
    try:
        return READERS[request](body)
    except ValidationError as error:
        return error.errors(include_url=False, include_input=False, include_context=False)


def assert_same(request: Any, body: bytes) -> bool:
    """Hold one against the other; tell whether the body was taken."""
    with np.errstate(over="ignore"):
        expected, found = said_by_class(request, body), said_by_reader(request, body)
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray), (body[:200], found)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), body[:200]
        assert found.tobytes() == expected.tobytes(), body[:200]
        return True
    assert not isinstance(found, np.ndarray), (body[:200], expected)
    assert found == expected, body[:200]
    return False


def test_the_zoo_has_animals_of_both_kinds() -> None:
    taken = sum(isinstance(said_by_class(LEAVES, body), np.ndarray) for body in ZOO if len(body) < 10_000)

    assert len(ZOO) > 300
    assert 60 < taken < len(ZOO) - 100


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("body", ZOO, ids=lambda body: repr(body[:60])[2:-1] + f"-{len(body)}")
def test_the_reader_does_as_the_class_does(body: bytes) -> None:
    assert_same(LEAVES, body)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{number[:30]}-{len(number)}")
def test_a_row_of_one_feature_is_read_alike(number: str) -> None:
    assert_same(LONE, f'{{"items": [{{"x": {number}}}, {{"x": 1}}]}}'.encode())


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_ten_thousand_drawn_numbers_are_the_same_to_the_bit() -> None:
    dice = random.Random(11)
    rows = [{"x": dice.choice((-1, 1)) * dice.random() * 10.0 ** dice.randint(-50, 40)} for _ in range(5_000)]
    rows += [{"x": dice.randint(-(10 ** dice.randint(1, 30)), 10**20)} for _ in range(5_000)]

    assert assert_same(LONE, json.dumps({"items": rows}).encode())


def test_bodies_with_one_byte_changed_are_read_alike() -> None:
    dice, good = random.Random(12), bytearray(leaves(GOOD, '{"length": 1e-1, "leaf width": -0.0, "pH": 14}').encode())
    for _ in range(5_000):
        body = bytearray(good)
        for _ in range(dice.randint(1, 2)):
            body[dice.randrange(len(body))] = dice.choice(b'0123456789.eE+-",:[]{} \\nutrlx\xff\x00')
        assert_same(LEAVES, bytes(body))
