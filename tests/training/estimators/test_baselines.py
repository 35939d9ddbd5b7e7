"""The baselines take every table, and know nothing that they should not."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from marmita.training.estimators.baselines import classifiers, regressors
from marmita.training.estimators.frame import Table
from tests.training.estimators import sample


def test_the_linear_baselines_learn_from_every_column() -> None:
    frame = sample.table()
    table, values = Table.read(frame)
    table = table.learn(values)
    rows = table.encode(values)
    red = (frame[sample.COLOUR] == "red").to_numpy()

    scores = {name: model.fit(rows, red).score(rows, red) for name, model in classifiers(table.columns).items()}
    errors = {
        name: np.abs(model.fit(rows, frame[sample.SCORE]).predict(rows) - frame[sample.SCORE]).mean()
        for name, model in regressors(table.columns).items()
    }

    assert scores == {"majority class": pytest.approx(1 - red.mean()), "logistic regression": 1.0}
    assert errors["mean"] > 0.5
    assert errors["ridge regression"] < 0.01


def test_unseen_words_and_columns_of_gaps_are_answered() -> None:
    rows = np.array([[np.nan, 0, 1], [np.nan, 1, 2]] * 20, dtype=np.float32)
    table, values = Table.read(sample.table()[[sample.PRICE, sample.COLOUR, sample.VISITS]])
    model = classifiers(table.learn(values).columns)["logistic regression"].fit(rows, [False, True] * 20)

    answers = model.predict(np.array([[5, -1, 1], [np.nan, np.nan, 2]], dtype=np.float32))

    assert f1_score([False, True], answers) == 1
