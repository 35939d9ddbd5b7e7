"""What one pass over the texts of a column finds out."""

import pytest

from marmita.training.from_csv import profiles
from marmita.training.from_csv.profiles import Shape, profile, shape_of
from tests.training.from_csv.files import profiled


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("0", Shape.INTEGER),
        ("-12", Shape.INTEGER),
        ("01234", Shape.CODE),
        ("1.5", Shape.POINT),
        (".2", Shape.POINT),
        ("1e5", Shape.POINT),
        ("0.500", Shape.POINT),
        ("1234.567", Shape.POINT),
        ("1.234", Shape.POINT_3),
        ("1,234", Shape.COMMA_3),
        ("3,5", Shape.COMMA),
        ("0,125", Shape.COMMA),
        ("1.234,5", Shape.THOUSANDS_BY_POINT),
        ("1.234.567", Shape.THOUSANDS_BY_POINT),
        ("1,234.5", Shape.THOUSANDS_BY_COMMA),
        ("-1,234,567", Shape.THOUSANDS_BY_COMMA),
        ("1,23,4", Shape.OTHER),
        ("12 kg", Shape.OTHER),
        ("inf", Shape.OTHER),
        ("1_000", Shape.OTHER),
        ("2024-02-29", Shape.DATE),
        ("2024-02-29T12:30:00Z", Shape.DATE),
        ("29/02/2024", Shape.DATE),
        ("29.02.2024 12:30", Shape.DATE),
        ("2/9/24 3:05 PM", Shape.DATE),
        ("Feb 29, 2024", Shape.DATE),
        ("29 February 2024", Shape.DATE),
        ("TRUE", Shape.BOOLEAN),
        ("n", Shape.BOOLEAN),
        ("maybe", Shape.OTHER),
    ],
)
def test_a_text_has_a_shape(text: str, shape: Shape) -> None:
    assert shape_of(text) is shape


def test_blocks_add_up() -> None:
    blocks = [([2, 3], [["1", " 2 "], ["a", ""]]), ([5], [["x"], ["NA"]])]

    numbers, words = profile(["n", "w"], blocks)

    assert (numbers.rows, numbers.gaps, numbers.values, numbers.distinct, numbers.numbers) == (3, 0, 3, 3, 2)
    assert numbers.first[Shape.OTHER] == ("x", 5)
    assert (words.gaps, dict(words.words), words.examples) == (2, {"a": 1}, ["a"])


@pytest.mark.parametrize(
    ("texts", "counts_up"), [(["7", "8", "9"], True), (["7", "9", "8"], False), (["7", "8", "9.5"], False)]
)
def test_row_numbers_count_up(texts: list[str], counts_up: bool) -> None:
    assert profiled(texts).counts_up is counts_up


def test_row_numbers_count_up_over_blocks() -> None:
    up, gap = profiled(["7", "8"]), profiled(["7", "8"])

    up.add(["9", "10"], [4, 5])
    gap.add(["10", "11"], [4, 5])

    assert (up.counts_up, up.low, up.high) == (True, 7, 10)
    assert not gap.counts_up


def test_more_distinct_texts_than_are_counted_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MAX_COUNTED", 100)
    found = profiled(["often"] * 50 + [f"a{place}" for place in range(80)])
    assert found.counts_all

    for block in range(5):
        found.add(["often"] * 50 + [f"b{block} {place}" for place in range(60)], range(110))

    assert found.distinct == 1 + 80 + 5 * 60
    assert not found.counts_all
    assert len(found.words) <= 100
    assert found.words["often"] == 300


def test_a_number_of_a_hundred_thousand_digits_is_only_a_text() -> None:
    assert profiled(["9" * 100_000, "1"]).low == 0
