"""The rows that an estimator is fitted on, and those that it can't have seen."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.fitting import Split, check_selectors, fit, residuals
from tests.training.estimators import sample


def split(rows: int = 400, **more: Any) -> Split:
    frame = sample.table(rows)
    return Split.read(frame, sample.values(frame), None, classifies=False, **more)


def test_a_fifth_of_the_rows_is_held_out() -> None:
    found = split()

    assert len(found.train) + len(found.unseen) == 400
    assert 50 < len(found.unseen) < 110


def test_categories_are_those_of_the_rows_to_learn_from() -> None:
    frame = sample.table().copy()
    frame[sample.CITY] = [f"city {place}" for place in range(len(frame))]

    found = Split.read(frame, sample.values(frame), None, classifies=False)

    assert len(found.table.columns[5].categories) == len(found.train)
    assert set(found.table.encode(found.unseen.values)[:, 5]) == {-1.0}


def test_given_rows_are_held_out() -> None:
    frame = sample.table()
    train, unseen = frame.iloc[:300], frame.iloc[300:]

    found = Split.read(
        train, sample.values(frame).iloc[:300], (unseen, sample.values(frame).iloc[300:]), classifies=False
    )

    assert (len(found.train), len(found.unseen)) == (300, 100)
    np.testing.assert_array_equal(found.unseen.target.values, sample.values(frame).to_numpy()[300:])


@pytest.mark.parametrize(("rows", "unseen"), [(49, 20), (60, 9)])
def test_too_few_rows_are_an_error(rows: int, unseen: int) -> None:
    frame, truths = sample.table(), sample.values(sample.table())

    with pytest.raises(CannotPackError) as error:
        Split.read(
            frame.iloc[:rows], truths.iloc[:rows], (frame.iloc[-unseen:], truths.iloc[-unseen:]), classifies=False
        )

    assert error.value.code is Problem.ROWS


def test_an_error_of_the_estimator_is_told() -> None:
    found = split()

    with pytest.raises(CannotPackError, match="could not convert string to float") as error:
        fit(Ridge(), found.table, found.train)

    assert error.value.code is Problem.FIT


@pytest.mark.parametrize("dtype", ["Int64", "float32"])
def test_a_step_that_would_choose_other_columns_is_named(dtype: str) -> None:
    frame = pd.DataFrame({"x": range(100), "y": range(100)}).astype({"x": dtype})
    model = make_pipeline(
        ColumnTransformer([("chosen", OneHotEncoder(), make_column_selector(dtype_include=dtype))]), Ridge()
    )
    found = Split.read(frame, np.arange(100), None, classifies=False)

    with pytest.raises(CannotPackError, match="columntransformer/chosen") as error:
        check_selectors(model, frame, found)

    assert error.value.code is Problem.ESTIMATOR


def test_a_step_that_chooses_the_same_columns_is_fine() -> None:
    model = make_pipeline(
        ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include="number"))]), LogisticRegression()
    )

    check_selectors(model, sample.table(), split())


def test_residuals_are_those_of_models_that_have_not_seen_the_row() -> None:
    """A line through the rows of other folds only: the noise is 0.5 wide."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=500)})
    found = Split.read(frame, 3 * frame["x"] + generator.normal(scale=0.5, size=500), None, classifies=False)

    left = residuals(Ridge(), found, seed=7)

    assert len(left) == len(found.train)
    assert np.std(left) == pytest.approx(0.5, abs=0.05)


def test_rows_with_a_word_that_a_fold_has_not_seen_have_no_residual() -> None:
    frame = pd.DataFrame({"w": ["a", "b"] * 100, "x": np.arange(200.0)})
    frame.loc[::40, "w"] = [f"once {place}" for place in range(5)]
    found = Split.read(frame, frame["x"], None, classifies=False)
    once = sum(word.startswith("once") for word in found.train.values[0])
    words = ColumnTransformer([("w", OneHotEncoder(), ["w"])], remainder="passthrough")

    left = residuals(make_pipeline(words, Ridge()), found, seed=7)

    assert once > 0
    assert len(left) == len(found.train) - once
