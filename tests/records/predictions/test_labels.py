"""Labels: they find their rows, and replace one another."""

from collections.abc import Mapping
from datetime import UTC, datetime
from time import perf_counter

import numpy as np
import pytest
from sqlalchemy import delete, select

from marmita.records.database.database import Database
from marmita.records.database.tables import Label, Prediction
from marmita.records.predictions import labels
from marmita.records.predictions.labels import LabelCounts, WrongLabelError
from marmita.records.quality.evaluators import ClassEvaluator, Evaluator, ValueEvaluator
from marmita.records.quality.path_evaluator import PathEvaluator

JUDGES: Mapping[str, Evaluator] = {
    "colours": ClassEvaluator("colours", ("x",), ("red", "green", "blue")),
    "grades": ValueEvaluator("grades", ("x",), target="grade", low=0, high=10),
    "paths": PathEvaluator("paths", window=5, horizon=3),
}
ID = "{:032x}".format


def predict(database: Database, model: str, *ids: str, rows: int = 1, last: float = 25.0) -> None:
    evaluator = JUDGES[model]
    inputs, outputs = np.full((rows, evaluator.width), last, "<f4"), np.ones((rows, evaluator.outputs), "<f4")
    inputs[:, -1] += np.arange(rows)
    with database.writing() as session:
        session.add_all(
            Prediction(
                id=id,
                model=model,
                version="v1",
                request_id="",
                at=datetime.now(UTC),
                seconds=0.001,
                rows=rows,
                inputs=inputs.tobytes(),
                outputs=outputs.tobytes(),
            )
            for id in ids
        )


def add(database: Database, *given: tuple[str, object]) -> LabelCounts:
    with database.writing() as session:
        return labels.add(session, JUDGES, given)


def stored(database: Database) -> dict[tuple[str, int, int], float]:
    with database.reading() as session:
        found = session.execute(select(Label.prediction_id, Label.row, Label.step, Label.value))
        return {(id, row, step): value for id, row, step, value in found}


def test_labels_find_the_rows_of_their_models(database: Database) -> None:
    predict(database, "colours", ID(1), rows=2)
    predict(database, "grades", ID(2))
    predict(database, "paths", ID(3))

    added = add(database, (f"{ID(1)}-1", "blue"), (f"{ID(2)}-0", 6.5), (f"{ID(3)}-0", [25.5, 26.0]))

    assert added == LabelCounts(3, 0, [])
    assert stored(database) == {(ID(1), 1, 0): 2, (ID(2), 0, 0): 6.5, (ID(3), 0, 1): 25.5, (ID(3), 0, 2): 26}


def test_the_same_label_again_changes_nothing_and_another_one_replaces_it(database: Database) -> None:
    predict(database, "grades", ID(1), rows=2)
    add(database, (f"{ID(1)}-0", 6), (f"{ID(1)}-1", 6))
    with database.reading() as session:
        before = session.execute(select(Label.at).where(Label.row == 0)).scalar_one()

    assert add(database, (f"{ID(1)}-0", 6.0), (f"{ID(1)}-1", 7)) == LabelCounts(1, 1, [])

    assert stored(database) == {(ID(1), 0, 0): 6, (ID(1), 1, 0): 7}
    with database.reading() as session:
        assert session.execute(select(Label.at).where(Label.row == 0)).scalar_one() == before


def test_more_days_may_follow_later(database: Database) -> None:
    predict(database, "paths", ID(1))
    add(database, (f"{ID(1)}-0", [25.5]))

    assert add(database, (f"{ID(1)}-0", [25.5, 26.0])) == LabelCounts(1, 0, [])
    assert stored(database) == {(ID(1), 0, 1): 25.5, (ID(1), 0, 2): 26}


def test_of_two_labels_of_one_row_the_later_counts(database: Database) -> None:
    predict(database, "grades", ID(1))

    assert add(database, (f"{ID(1)}-0", 6), (f"{ID(1)}-0", 7), (f"{ID(1)}-0", 7)) == LabelCounts(2, 1, [])
    assert stored(database) == {(ID(1), 0, 0): 7}


def test_rows_that_are_not_kept_are_unknown(database: Database) -> None:
    predict(database, "grades", ID(1), rows=2)
    with database.writing() as session:
        session.add(
            Prediction(
                id=ID(7),
                model="another_house's",
                version="v1",
                request_id="",
                at=datetime.now(UTC),
                seconds=0.001,
                rows=1,
                inputs=b"",
                outputs=b"",
            )
        )
    unknown = [f"{ID(1)}-2", f"{ID(9)}-0", f"{ID(7)}-0"]

    assert add(database, *((id, 6) for id in unknown), (f"{ID(1)}-1", 6)) == LabelCounts(1, 0, unknown)
    assert stored(database) == {(ID(1), 1, 0): 6}


@pytest.mark.parametrize(
    "id", ["", "7", ID(1), f"{ID(1)}-", f"{ID(1)}-01", f"{ID(1)}--1", f"{ID(1)}-0\n", f"G{ID(1)[1:]}-0"]
)
def test_an_id_that_can_not_be_one_is_named_by_its_place(database: Database, id: str) -> None:
    predict(database, "grades", ID(1))

    with pytest.raises(WrongLabelError, match=r"^labels\[1\]\.id: "):
        add(database, (f"{ID(1)}-0", 6), (id, 6))
    assert stored(database) == {}


def test_a_wrong_truth_is_named_by_its_place_and_no_label_is_kept(database: Database) -> None:
    predict(database, "grades", ID(1), rows=3)

    with pytest.raises(WrongLabelError, match=r"^labels\[2\]\.truth: .* 0 to 10"):
        add(database, (f"{ID(1)}-0", 6), (f"{ID(1)}-1", 6), (f"{ID(1)}-2", 11))
    assert stored(database) == {}


def test_ids_of_which_no_row_is_kept_are_unknown(database: Database) -> None:
    predict(database, "grades", ID(1), ID(2), rows=2)
    ids = [f"{ID(1)}-0", f"{ID(1)}-2", "no id", f"{ID(9)}-0", f"{ID(2)}-1"]

    with database.reading() as session:
        assert labels.unknown(session, ids) == [f"{ID(1)}-2", f"{ID(9)}-0"]
        assert labels.unknown(session, []) == []


def test_ten_thousand_labels_are_added_within_seconds(database: Database) -> None:
    ids = [ID(number) for number in range(10_000)]
    predict(database, "grades", *ids)
    given = [(f"{id}-0", 5) for id in ids]

    begun = perf_counter()
    assert add(database, *given) == LabelCounts(10_000, 0, [])
    assert add(database, *given) == LabelCounts(0, 10_000, [])
    assert perf_counter() - begun < 10
    assert len(stored(database)) == 10_000


def test_labels_go_with_their_predictions(database: Database) -> None:
    predict(database, "grades", ID(1), ID(2))
    add(database, (f"{ID(1)}-0", 6), (f"{ID(2)}-0", 6))

    with database.writing() as session:
        session.execute(delete(Prediction).where(Prediction.id == ID(1)))

    assert stored(database) == {(ID(2), 0, 0): 6}
