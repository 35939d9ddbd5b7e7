"""Recorded answers are read back within bounds, the newest first, and damaged ones are left out."""

import json
from typing import Any

import numpy as np
import pytest

from marmita.records.database.database import Database
from marmita.records.predictions import stored
from tests.messages import mentions
from tests.records.grades import PATHS, ask, ask_often, label, measure, scores, spread


@pytest.mark.parametrize(
    "damage",
    [{"inputs": b"\0" * 23}, {"outputs": b""}, {"inputs": b"", "outputs": b""}, {"rows": 4}, {"rows": 2}],
    ids=["inputs", "outputs", "both", "more rows", "fewer rows"],
)
def test_damaged_records_are_left_out_and_counted(database: Database, damage: dict[str, Any]) -> None:
    good = ask(database, [0.1, 0.2], [5])
    bad = ask(database, [[0.1, 0.2]] * 3, [5, 5, 5], **damage)
    label(database, (f"{good}-0", 6), (f"{bad}-0", 9))

    measured = measure(database)

    assert measured.damaged == damage.get("rows", 3)
    assert measured.labelled == 1
    assert scores(measured)["mae", "all"] == 1
    assert any(mentions(note, measured.damaged) for note in measured.notes)


def test_rows_that_are_no_numbers_are_left_out_and_counted(database: Database) -> None:
    id = ask(database, [[0.1, 0.2], [0.3, 0.4]], [np.nan, 5])
    label(database, (f"{id}-0", 6), (f"{id}-1", 6))

    measured = measure(database)

    assert (measured.looked_at, measured.damaged, measured.labelled) == (2, 1, 1)
    json.dumps(measured.as_dict(), allow_nan=False)


def test_the_newest_rows_are_looked_at(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MOST_ROWS", 10)
    ids = ask_often(database, [4, 4, 4, 4])
    label(database, *((f"{id}-{row}", number + 1) for number, id in enumerate(ids) for row in range(4)))

    measured = measure(database)

    assert (measured.requests, measured.rows, measured.looked_at, measured.labelled) == (4, 16, 10, 10)
    assert any(mentions(note, "drift", 10) for note in measured.notes)
    assert any(mentions(note, "scores", 10) for note in measured.notes)
    assert scores(measured)["mae", "all"] == 1


def test_labels_of_older_rows_count_where_the_newest_have_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_ROWS", 10)
    ids = ask_often(database, [1, 3, 10, 10])
    label(database, (f"{ids[0]}-0", 2), (f"{ids[1]}-2", 2))

    measured = measure(database)

    assert (measured.looked_at, measured.labelled) == (10, 2)
    assert scores(measured)["mae", "all"] == pytest.approx(1.5)


def test_every_labelled_row_counts_however_few_of_a_request_are(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is one of labelled rows, and not of the rows that were asked together with them."""
    monkeypatch.setattr(stored, "MOST_ROWS", 10)
    ids = ask_often(database, [20] * 5)
    label(database, *((f"{id}-{row}", 5) for id in ids for row in (3, 17)))

    measured = measure(database)

    assert (measured.rows, measured.looked_at, measured.labelled) == (100, 10, 10)
    assert scores(measured)["mae", "all"] == pytest.approx((5 + 4 + 3 + 2 + 1) / 5)
    assert not [note for note in measured.notes if "scores" in note]


def test_a_label_is_held_against_the_answer_to_its_own_row(database: Database) -> None:
    first = ask(database, spread(6), [0, 1, 2, 3, 4, 5])
    second = ask(database, spread(4), [6, 7, 8, 9])
    label(database, (f"{first}-4", 4), (f"{first}-1", 1), (f"{second}-3", 9), (f"{second}-0", 6))

    assert scores(measure(database)) == {("mae", "all"): 0, ("mse", "all"): 0, ("coverage", "all"): 1}


def test_requests_are_read_until_they_have_many_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read whole, even if one of its rows is labelled."""
    ids = ask_often(database, [10, 10, 10])
    label(database, *((f"{id}-{row}", 5) for id in ids for row in (0, 9)))

    found = {}
    for most in (5, 20, 29, 30):
        monkeypatch.setattr(stored, "MOST_READ", most)
        measured = measure(database)
        found[most] = measured.labelled, any(mentions(note, "scores", measured.labelled) for note in measured.notes)

    assert found == {5: (2, True), 20: (4, True), 29: (4, True), 30: (6, False)}


def test_all_known_days_of_a_forecast_count_as_one_row(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MOST_ROWS", 2)
    windows, said = np.full((3, 5), 50, "<f4"), np.full((3, 6), 50, "<f4")
    id = ask(database, windows, [0] * 3, model="paths", inputs=windows.tobytes(), outputs=said.tobytes())
    label(database, *((f"{id}-{row}", [51 + row, 52 + row]) for row in range(3)), evaluator=PATHS)

    measured = measure(database, evaluator=PATHS)

    assert measured.labelled == 2
    assert scores(measured)["mae", "day_1"] == pytest.approx((1 + 2) / 2)
    assert scores(measured)["mae", "day_2"] == pytest.approx((2 + 3) / 2)


def test_no_more_rows_are_looked_at_if_they_are_damaged(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MOST_ROWS", 10)
    ask(database, spread(3), [5, 5, 5], rows=1000)

    measured = measure(database)

    assert (measured.rows, measured.looked_at, measured.damaged) == (1000, 10, 10)


def test_requests_are_read_some_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_BATCH_RECORDS", 3)
    ids = ask_often(database, [1, 2, 1, 3, 1, 1, 1, 2])
    label(database, *((f"{id}-0", number) for number, id in enumerate(ids)))

    measured = measure(database)

    assert (measured.looked_at, measured.labelled) == (12, 8)
    assert scores(measured)["mae", "all"] == 0
