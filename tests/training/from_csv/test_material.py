"""A file is material for a training, or there is an error that says why it is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marmita.contract.training_order import TrainingErrorCode, TrainingOrder
from marmita.training.from_csv.errors import CannotLearnError
from marmita.training.from_csv.material import Material, check, read, without_leaks
from marmita.training.from_csv.verdicts import Use
from tests.training.from_csv.files import mixed, write

Texts = dict[str, list[object]]


def material(folder: Path, texts: Texts, target: str = "left", **order: Any) -> Material:
    """Return what can be learned from a table, without leaks."""
    made = TrainingOrder.model_validate({"name": "m", "target": target, **order})
    found = without_leaks(read(write(folder / "file.csv", texts), made), made.seed)
    check(found)
    return found


def uses(found: Material) -> dict[str, Use]:
    return {verdict.name: verdict.use for verdict in found.verdicts}


def test_useful_columns_are_used_and_others_are_left_out(tmp_path: Path) -> None:
    texts = mixed(200)
    generator = np.random.default_rng(1)
    texts |= {
        "": list(range(200)),
        "customer": generator.permutation(10_000)[:200].tolist(),
        "customer_id": generator.permutation(10_000)[:200].tolist(),
        "country": ["BR"] * 200,
        "comment": [f"A long text about customer {place}, who likes to talk about it" for place in range(200)],
        "since": [f"2024-01-{place % 28 + 1:02}" for place in range(200)],
        "notes": ["NA"] * 200,
        "gone": [int(left == "leaves") for left in texts["left"]],
    }

    found = material(tmp_path, texts, drop=["paid"])

    assert uses(found) == {
        "age": Use.USED,
        "balance": Use.USED,
        "plan": Use.USED,
        "city": Use.USED,
        "active": Use.USED,
        "paid": Use.DROPPED,
        "": Use.UNNAMED,
        "customer": Use.USED,
        "customer_id": Use.ID,
        "country": Use.CONSTANT,
        "comment": Use.TEXT,
        "since": Use.DATE,
        "notes": Use.ALL_GAPS,
        "gone": Use.SAME_AS_TARGET,
    }
    assert [column.name for column in found.columns] == ["age", "balance", "plan", "city", "active", "customer"]
    assert found.examples.features.shape == (200, 6)


def test_a_column_that_tells_the_target_alone_is_used_with_a_warning(tmp_path: Path) -> None:
    found = material(tmp_path, mixed(2_000))

    warned = [verdict.name for verdict in found.verdicts if verdict.warnings]
    assert warned == ["paid"]
    assert uses(found)["paid"] is Use.USED


def test_a_column_that_has_one_value_where_there_is_a_target_is_left_out(tmp_path: Path) -> None:
    texts = mixed(200)
    texts["seen"] = [*["first"] * 190, *["later"] * 10]
    texts["left"][190:] = [""] * 10

    assert uses(material(tmp_path, texts))["seen"] is Use.CONSTANT


def test_all_is_told_on_the_card(tmp_path: Path) -> None:
    texts = mixed(200)
    doubled = {name: [*values, *values[:5]] for name, values in texts.items()}
    doubled["left"][10] = ""

    described = material(tmp_path, doubled).described()

    assert described["file"] == {
        "encoding": "utf-8",
        "encoding_is_guessed": False,
        "delimiter": ",",
        "rows": 205,
        "rows_without_target": 1,
        "repeated_rows": 5,
    }
    assert (described["target"]["column"], described["target"]["task"]) == ("left", "classification")
    assert [each["name"] for each in described["columns"]] == ["age", "balance", "plan", "city", "active", "paid"]


def drop_all(texts: Texts) -> None:
    texts["left"] = [""] * len(texts["left"])


def one_class(texts: Texts) -> None:
    texts["left"] = ["leaves"] * len(texts["left"])


def rare_class(texts: Texts) -> None:
    texts["left"][0] = "died"


def only_the_target(texts: Texts) -> None:
    for name in list(texts)[:-1]:
        del texts[name]


def only_an_id(texts: Texts) -> None:
    only_the_target(texts)
    texts["id"] = list(range(len(texts["left"])))


def only_a_copy(texts: Texts) -> None:
    paid = texts["paid"]
    texts.clear()
    texts |= {"paid": paid, "copy": paid}


def few_rows(texts: Texts) -> None:
    for values in texts.values():
        del values[4:]


@pytest.mark.parametrize(
    ("change", "order", "code"),
    [
        (lambda _: None, {"target": "gone"}, TrainingErrorCode.TARGET_NOT_FOUND),
        (lambda _: None, {"kinds": {"gone": "number"}}, TrainingErrorCode.UNKNOWN_COLUMN),
        (lambda _: None, {"model": "Ridge"}, TrainingErrorCode.TARGET_NOT_NUMERIC),
        (lambda _: None, {"drop": list(mixed(1))[:-1]}, TrainingErrorCode.NO_USABLE_COLUMN),
        (drop_all, {}, TrainingErrorCode.TARGET_ALL_GAPS),
        (one_class, {}, TrainingErrorCode.ONE_CLASS),
        (rare_class, {}, TrainingErrorCode.CLASS_TOO_SMALL),
        (only_the_target, {}, TrainingErrorCode.NO_USABLE_COLUMN),
        (only_an_id, {}, TrainingErrorCode.NO_USABLE_COLUMN),
        (only_a_copy, {"target": "paid"}, TrainingErrorCode.NO_USABLE_COLUMN),
        (few_rows, {}, TrainingErrorCode.TOO_FEW_ROWS),
    ],
)
def test_what_is_no_material_is_an_error(
    tmp_path: Path, change: Callable[[Texts], None], order: dict[str, Any], code: TrainingErrorCode
) -> None:
    texts = mixed(100)
    change(texts)

    with pytest.raises(CannotLearnError) as caught:
        material(tmp_path, texts, **order)

    assert caught.value.code is code


def test_a_file_without_a_header_is_told_from_one_without_the_target(tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text("5.1,3.5,1.4,setosa\n" * 60)

    with pytest.raises(CannotLearnError) as caught:
        read(file, TrainingOrder(name="m", target="species"))

    assert caught.value.code is TrainingErrorCode.NO_HEADER


def test_a_header_may_be_numbers(tmp_path: Path) -> None:
    texts = mixed(100)
    numbered = {str(place): values for place, values in enumerate(texts.values())}

    assert len(material(tmp_path, numbered, "6").columns) == 6


def test_a_million_categories_are_no_categories(tmp_path: Path) -> None:
    """A word for each row is an id, and half as many words are a text: neither is learned from."""
    rows = 1_000_000
    file = tmp_path / "file.csv"
    with file.open("w") as out:
        out.write("word,half,x,y\n")
        out.writelines(f"w{place},h{place // 3 * 2},{place % 7},{'ab'[place % 2]}\n" for place in range(rows))

    found = read(file, TrainingOrder(name="m", target="y"))

    assert [verdict.use for verdict in found.verdicts[:1]] == [Use.ID]
    assert found.verdicts[0].distinct == rows
    assert found.verdicts[1].distinct == (rows + 2) // 3
    assert len(found.columns[0].categories) == 1_000
