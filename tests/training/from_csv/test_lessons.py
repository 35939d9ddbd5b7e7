"""What is learned from: folds that don't leak, and predictions of all classes."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from marmita.contract.columns import Column, Kind
from marmita.contract.training_order import TrainingErrorCode
from marmita.training.from_csv.errors import CannotLearnError
from marmita.training.from_csv.lessons import Lesson
from marmita.training.from_csv.recipes import Size

COLUMNS = (Column("x"), Column("w", Kind.CATEGORY, categories=tuple("abcdefghijkl")))


def lesson(rows: int = 200, classes: tuple[str, ...] = ("a", "b", "c"), seed: int = 1) -> Lesson:
    generator = np.random.default_rng(seed)
    features = np.column_stack([generator.normal(size=rows), generator.integers(0, 12, rows)]).astype(np.float32)
    truths = generator.integers(0, len(classes), rows) if classes else generator.normal(size=rows)
    return Lesson(COLUMNS, features, truths.astype(np.float64), classes)


def test_equal_rows_are_in_one_fold() -> None:
    once = lesson()
    twice = Lesson(COLUMNS, np.tile(once.rows, (2, 1)), np.tile(once.truths, 2), once.classes)

    folds = twice.folds(5, seed=7)

    assert (folds[:200] == folds[200:]).all()
    assert np.bincount(folds).tolist() == [80] * 5


def test_each_fold_has_its_share_of_each_class() -> None:
    found = lesson(300)
    counts = np.array([np.bincount(found.truths[found.folds(5, 7) == fold].astype(int)) for fold in range(5)])

    assert (np.ptp(counts, axis=0) <= 1).all()


def test_the_seed_decides_the_folds_and_the_sample() -> None:
    found = lesson()

    assert (found.folds(5, 7) == found.folds(5, 7)).all()
    assert (found.folds(5, 7) != found.folds(5, 8)).any()
    assert (found.sample(50, 7).rows == found.sample(50, 7).rows).all()
    assert (found.sample(50, 7).rows != found.sample(50, 8).rows).any()
    assert found.sample(200, 7) is found


@pytest.mark.parametrize("classes", [("a", "b"), ()])
def test_rows_that_are_all_the_same_cant_be_divided(classes: tuple[str, ...]) -> None:
    same = Lesson(COLUMNS, np.ones((60, 2), np.float32), np.arange(60.0) % 2, classes)

    with pytest.raises(CannotLearnError) as caught:
        same.folds(5, 7)

    assert caught.value.code is TrainingErrorCode.TOO_FEW_ROWS


def test_a_class_that_a_fit_has_not_seen_has_no_probability() -> None:
    found = lesson()
    some = found.at(found.truths != 1)

    predicted = found.predict(some.fit(DummyClassifier(strategy="prior")))

    assert predicted.shape == (200, 3)
    assert (predicted[:, 1] == 0).all()
    np.testing.assert_allclose(predicted.sum(axis=1), 1)


def test_classes_that_are_numbers_stay_numbers() -> None:
    assert lesson(classes=("-1", "2", "10")).labels.dtype == np.int64
    assert set(lesson(classes=("-1", "2", "10")).labels) == {-1, 2, 10}
    assert set(lesson(classes=("1", "x")).labels) == {"1", "x"}
    assert lesson(classes=()).labels.dtype == np.float64


def test_words_count_for_the_columns_that_they_become() -> None:
    assert lesson().size == Size(rows=200, width=2, wide=13, outputs=3)
