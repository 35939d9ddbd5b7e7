"""NewestLabelled rows are found again for training: each once, with what was told last."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from marmita.records.database.database import Database
from marmita.records.predictions import labelled_rows
from marmita.records.predictions.labelled_rows import LabelledRows
from tests.records.grades import GRADES, NOW, ask, label


def newest(database: Database, most: int = labelled_rows.MOST_ROWS) -> LabelledRows:
    with database.reading() as session:
        return labelled_rows.newest(session, GRADES, most)


def told(found: LabelledRows) -> list[tuple[list[float], float]]:
    return [
        ([round(value, 3) for value in row], truth)
        for row, truth in zip(found.rows.tolist(), found.truths.tolist(), strict=True)
    ]


def test_where_nothing_is_labelled_nothing_is_found(database: Database) -> None:
    ask(database, [0.1, 0.2], [5])

    found = newest(database)

    assert found.rows.shape == (0, 2)
    assert found.truths.shape == (0,)
    assert found[2:] == (0, 0, False)


def test_a_row_is_found_by_its_place_in_its_record_whatever_version_was_asked(database: Database) -> None:
    several = ask(database, [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [5, 5, 5])
    other = ask(database, [0.7, 0.8], [5], version="v2")
    stranger = ask(database, [0.9, 0.9], [5])
    ask(database, [0.9, 0.9], [5], model="another")
    label(database, (f"{several}-2", 6), (f"{other}-0", 7))

    assert told(newest(database)) == [([0.5, 0.6], 6), ([0.7, 0.8], 7)]
    assert stranger


def test_of_equal_rows_that_were_labelled_differently_the_latest_label_counts(database: Database) -> None:
    first, second = (ask(database, row, [5]) for row in ([0.0, 0.2], [-0.0, 0.2]))
    label(database, (f"{second}-0", 8))
    label(database, (f"{first}-0", 3))

    found = newest(database)

    assert told(found) == [([0.0, 0.2], 3)]
    assert found.repeated == 1


@pytest.mark.parametrize(
    "damage",
    [{"inputs": b"\0" * 23}, {"inputs": b""}, {"rows": 4}, {"rows": 2}, {"inputs": b"\xff" * 24}],
    ids=["too short", "empty", "more rows", "fewer rows", "no numbers"],
)
def test_damaged_records_are_left_out_and_counted(database: Database, damage: dict[str, Any]) -> None:
    good = ask(database, [0.1, 0.2], [5])
    bad = ask(database, [[0.1, 0.2]] * 3, [5, 5, 5], **damage)
    label(database, (f"{good}-0", 6), (f"{bad}-0", 9))

    found = newest(database)

    assert told(found) == [([0.1, 0.2], 6)]
    assert found.damaged == 1


def test_only_the_newest_are_looked_at_and_that_is_said(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_rows, "_BATCH_ROWS", 3)
    begun = NOW - timedelta(hours=1)
    ids = [
        ask(database, np.full((2, 2), number / 8), [5, 5], at=begun + timedelta(seconds=number)) for number in range(5)
    ]
    label(database, *((f"{id}-0", number) for number, id in enumerate(ids)))

    found = newest(database, most=3)

    assert sorted(found.truths.tolist()) == [2, 3, 4]
    assert found.older
    assert not newest(database, most=5).older
    assert sorted(newest(database, most=5).rows[:, 0].tolist()) == [0, 0.125, 0.25, 0.375, 0.5]
