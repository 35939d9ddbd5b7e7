"""What the load test asks of a model, by its contract and by the data sets that there are."""

import math
from pathlib import Path

import pytest
from pydantic import ConfigDict

from marmita import discovery
from marmita.contract.csv_dialect import DELIMITERS
from marmita.contract.rows import Row, also_known_as, example, feature, features
from marmita.traffic import SPREAD, every_traffic, unseen_rows, varied_rows
from marmita.training.rows import is_held_out

HEADERS = {"petal_length": "Petal.Length"}


class Flower(Row):
    """One flower."""

    model_config = ConfigDict(alias_generator=also_known_as(HEADERS))

    petal_length: float = feature("Petal length", unit="cm", low=0.5, high=10, example=1.4)
    petal_width: float = feature("Petal width", unit="cm", low=0, high=5, example=0)
    tilt: float = feature("Tilt", unit="°", low=-90, high=90, example=-90)


def data_set(folder: Path, delimiter: str, header: list[str]) -> None:
    rows = [[1 + number / 100, number / 50, number / 10 - 5, 3] for number in range(100)]
    rows.append([99, 1, 1, 1])  # beyond the contract's bounds
    lines = [header, *(map(str, row) for row in rows)]
    (folder / "flowers.csv").write_text("\n".join(delimiter.join(line) for line in lines))


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_rows_are_those_of_the_data_set_that_no_model_was_trained_on(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "another.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    data_set(tmp_path, delimiter, ["Petal.Length", "petal_width", "tilt", "species"])

    rows = unseen_rows(Flower, tmp_path)

    assert 5 < len(rows) < 50
    assert all(list(row) == features(Flower) and is_held_out(list(row.values())) for row in rows)
    assert all(Flower.model_validate(row) for row in rows)


def test_a_data_set_without_all_features_is_not_taken(tmp_path: Path) -> None:
    data_set(tmp_path, ",", ["Petal.Length", "petal_width", "lean", "species"])

    assert unseen_rows(Flower, tmp_path) == []


def test_without_a_data_set_rows_vary_around_the_example_within_the_bounds() -> None:
    rows = varied_rows(Flower)

    assert all(Flower.model_validate(row) for row in rows)
    for name, value in example(Flower).items():
        assert len({row[name] for row in rows}) > len(rows) / 4
        assert all(math.isclose(row[name], value, rel_tol=SPREAD, abs_tol=1.8) for row in rows)


def test_each_model_has_traffic_that_it_can_be_asked() -> None:
    for traffic in every_traffic():
        asked = {traffic.field: traffic.rows()}
        assert traffic.endpoint.request.model_validate(asked)
    assert [traffic.name for traffic in every_traffic()] == list(discovery.names())
