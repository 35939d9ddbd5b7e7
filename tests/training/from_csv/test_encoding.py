"""The rows of a file become the numbers that a request for them would become."""

from pathlib import Path

import numpy as np
import pytest

from marmita.contract.cells import parse
from marmita.contract.columns import UNSEEN, Column, Kind, encoder
from marmita.contract.training_order import TrainingErrorCode, TrainingOrder
from marmita.training.from_csv import verdicts
from marmita.training.from_csv.encoding import table_of
from marmita.training.from_csv.errors import CannotLearnError
from marmita.training.from_csv.material import Material, read
from tests.training.from_csv.files import mixed, write


def material(path: Path, target: str = "y", **order: object) -> Material:
    return read(path, TrainingOrder.model_validate({"name": "m", "target": target, **order}))


def test_training_and_prediction_read_a_file_alike(tmp_path: Path) -> None:
    """Each cell of a file with decimal commas, thousands, gaps and words, by the contract that was learned."""
    rows = 200
    generator = np.random.default_rng(3)
    texts = {
        "price": [f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in generator.uniform(0, 5_000, rows)],
        "count": [f"{value:,}".replace(",", ".") for value in generator.integers(0, 5_000, rows)],
        "plan": generator.choice(["pro", " basic ", "NA", "None"], rows).tolist(),
        "zip": [f"{value:05}" for value in generator.integers(0, 20, rows)],
        "active": generator.choice(["Yes", "no", ""], rows).tolist(),
        "half": generator.choice(["0.5", "1,5", "?"], rows).tolist(),
        "y": generator.choice(["a", "b"], rows).tolist(),
    }
    found = material(write(tmp_path / "file.csv", texts, ";"))

    kinds = [Kind.NUMBER, Kind.NUMBER, Kind.CATEGORY, Kind.CATEGORY, Kind.BOOLEAN, Kind.NUMBER]
    assert [column.kind for column in found.columns] == kinds
    cells = [[parse(column, text, ",") for text in texts[column.name]] for column in found.columns]
    np.testing.assert_array_equal(found.examples.features, encoder(found.columns)(cells))
    assert found.examples.features[:, 0].max() > 1_000
    assert found.examples.features[:, 1].max() > 1_000


def test_columns_have_gaps_and_examples(tmp_path: Path) -> None:
    columns = {column.name: column for column in material(write(tmp_path / "f.csv", mixed(100)), "left").columns}

    assert [column.gaps for column in columns.values()] == [False, True, True, False, False, False]
    assert {name: type(column.example) for name, column in columns.items()} == {
        "age": int,
        "balance": float,
        "plan": str,
        "city": str,
        "active": bool,
        "paid": float,
    }
    assert columns["paid"].example in mixed(100)["paid"]


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = mixed(120)
    texts["left"][:7] = ["", "NA", "?", "", "", "", ""]

    found = material(write(tmp_path / "f.csv", texts), "left")

    assert (len(found.examples.truths), found.without_truth) == (113, 7)
    assert found.examples.features[:, 0].tolist() == texts["age"][7:]


def test_equal_rows_are_held_out_together_whatever_else_a_file_has(tmp_path: Path) -> None:
    texts = mixed(400)
    twice = {name: [*values, *reversed(values)] for name, values in texts.items()}
    more = {name: [*mixed(100, seed=2)[name], *values] for name, values in texts.items()}
    more["plan"][:100] = ["a plan of its own"] * 100

    once, both, other = (
        material(write(tmp_path / "f.csv", each), "left").examples.held_out for each in (texts, twice, more)
    )

    assert 0.1 < once.mean() < 0.3
    assert (both[:400] == once).all()
    assert (both[400:] == once[::-1]).all()
    assert (other[100:] == once).all()


def test_odd_values_are_gaps(tmp_path: Path) -> None:
    texts = mixed(100)
    texts["age"][3] = "old"

    found = material(write(tmp_path / "f.csv", texts), "left")

    assert np.isnan(found.examples.features[3, 0])
    assert found.columns[0].gaps


def test_an_odd_value_in_a_column_of_an_ordered_kind_is_an_error(tmp_path: Path) -> None:
    texts = mixed(100)
    texts["age"][3] = "old"

    with pytest.raises(CannotLearnError) as caught:
        material(write(tmp_path / "f.csv", texts), "left", kinds={"age": "number"})

    error = caught.value
    assert (error.code, error.column, error.row, error.value) == (
        TrainingErrorCode.INVALID_VALUE,
        "age",
        5,
        "'old'",
    )


def test_rare_words_are_like_unseen_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "MAX_CATEGORIES", 10)

    found = material(write(tmp_path / "f.csv", mixed(300)), "left")

    city = found.examples.features[:, 3]
    assert found.columns[3].categories[0] == mode(mixed(300)["city"])
    assert 0.2 < (city == UNSEEN).mean() < 0.8


def mode(words: list[object]) -> object:
    return max(sorted(map(str, set(words))), key=words.count)


def test_estimators_get_numbers_and_words_with_gaps() -> None:
    columns = [Column("x"), Column("w", Kind.CATEGORY, categories=("b", "a"))]
    rows = np.array([[1.5, 1], [np.nan, np.nan], [2, UNSEEN]], np.float32)
    table = table_of(columns)

    frame = table.native(table.decode(rows))

    assert frame["x"].dtype == np.float64
    assert frame["w"].dtype == object
    assert frame["w"].isna().tolist() == [False, True, False]
    assert frame["w"][0] == "a"
    assert frame["w"][2] not in ("a", "b")
