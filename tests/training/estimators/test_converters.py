"""Converters that give what skl2onnx's own do not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from marmita.contract.columns import UNSEEN
from marmita.training.estimators.frame import Table
from marmita.training.estimators.trial import answer
from tests.training.estimators import sample
from tests.training.estimators.test_graph import fit

GAPPY = [sample.PRICE, sample.SCORE, sample.VISITS]


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(5, random_state=3),
        RandomForestRegressor(5, random_state=3),
        ExtraTreesClassifier(5, random_state=3),
        ExtraTreesRegressor(5, random_state=3),
        DecisionTreeClassifier(random_state=3),
        DecisionTreeRegressor(random_state=3),
    ],
    ids=lambda model: type(model).__name__,
)
def test_trees_send_gaps_where_the_estimator_sends_them(model: Any) -> None:
    frame = sample.table()[GAPPY]
    asked = frame.mask(np.random.default_rng(0).uniform(size=frame.shape) < 0.3)

    fitted, table, compiled = fit(model, frame, sample.table()[sample.MEMBER].astype(int))

    values = table.read_more(asked)
    np.testing.assert_allclose(compiled(table.encode(values)), answer(fitted, table.native(values)), atol=1e-6)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson", "gamma", "quantile"])
def test_boosting_has_the_scale_of_its_loss(loss: Any) -> None:
    frame = sample.table()[GAPPY]
    model = HistGradientBoostingRegressor(loss=loss, quantile=0.5 if loss == "quantile" else None, max_iter=5)

    fitted, table, compiled = fit(model, frame, np.exp(sample.values(sample.table())))

    _, values = Table.read(frame)
    np.testing.assert_allclose(compiled(table.encode(values)), answer(fitted, table.native(values)), rtol=1e-5)


@pytest.mark.parametrize("gap", [np.nan, None, ""])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoded_missing_value": -2},
        {"dtype": np.int64, "encoded_missing_value": 77},
        {"max_categories": 3},
    ],
)
def test_ordinal_numbers_of_gaps_and_unseen_words_are_the_estimators(gap: Any, options: dict[str, Any]) -> None:
    frame = pd.DataFrame({"w": pd.Series(["b", "a", gap, "c", "d"] * 20, dtype=object), "v": ["x", "y"] * 50})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **options)
    model = make_pipeline(encoder, HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=2))

    fitted, table, compiled = fit(model, frame, [1.0, 5.0, 2.0, 9.0, 4.0] * 20)

    rows = np.array([[place, other] for place in (np.nan, UNSEEN, 0, 1, 2, 3) for other in (0, 1)], np.float32)
    expected = answer(fitted, table.native(table.decode(rows, "new")))
    np.testing.assert_allclose(compiled(rows), expected, rtol=1e-6)
    assert len(np.unique(compiled(rows))) > 2


@pytest.mark.parametrize("encoder", ["one hot", "ordinal"])
@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
def test_numbers_and_booleans_are_categories_too(encoder: str, drop: Any) -> None:
    """Numbers between two categories are neither, and a gap may be one."""
    columns = [sample.MEMBER, sample.VISITS, sample.COLOUR, sample.PRICE]
    frame = sample.table()[columns].assign(**{sample.PRICE: (sample.table()[sample.PRICE] // 20) / 2})
    chosen: Any = (
        OneHotEncoder(handle_unknown="ignore", drop=drop, sparse_output=False)
        if encoder == "one hot"
        else OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    )
    model = make_pipeline(chosen, HistGradientBoostingRegressor(max_iter=20))

    fitted, table, compiled = fit(model, frame, sample.values(sample.table()))

    _, values = Table.read(frame)
    asked = np.concatenate([table.encode(values), between(table.encode(values))])
    expected = answer(fitted, table.native(table.decode(asked, "new")))
    np.testing.assert_allclose(compiled(asked), expected, atol=1e-5)


@pytest.mark.parametrize("handle_unknown", ["error", "ignore", "infrequent_if_exist", "warn"])
@pytest.mark.parametrize("options", [{"min_frequency": 60}, {"max_categories": 3, "drop": "first"}])
def test_rare_categories_share_an_indicator(handle_unknown: Any, options: dict[str, Any]) -> None:
    frame = sample.table()[[sample.VISITS, sample.CITY, sample.COLOUR]]
    encoder = OneHotEncoder(handle_unknown=handle_unknown, sparse_output=False, **options)
    words = ColumnTransformer([("words", encoder, list(frame))])
    model = make_pipeline(words, HistGradientBoostingRegressor(max_iter=20))

    fitted, table, compiled = fit(model, frame, sample.values(sample.table()))

    _, values = Table.read(frame)
    asked = table.encode(values)
    if handle_unknown != "error":
        unseen = asked.copy()
        unseen[::2, 1:], unseen[::3, 0] = UNSEEN, 99
        asked = np.concatenate([asked, unseen])
    np.testing.assert_allclose(compiled(asked), answer(fitted, table.native(table.decode(asked, "new"))), atol=1e-5)


def between(rows: Any) -> Any:
    """Return rows with prices that no row has, gaps, and words that no row has."""
    changed = rows[:60].copy()
    changed[:20, 3] += 0.25
    changed[20:40, 3] = np.nan
    changed[40:, 2] = UNSEEN
    return changed


@pytest.mark.parametrize("clip", [False, True])
def test_a_forest_after_a_min_max_scaler_decides_alike_next_to_every_threshold(clip: bool) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.integers(0, 50, size=(300, 2)) / 7, columns=["a", "b"])
    model = make_pipeline(MinMaxScaler(clip=clip), RandomForestRegressor(5, random_state=3))

    fitted, table, compiled = fit(model, frame, generator.normal(size=300))

    known = np.unique(frame.to_numpy().astype(np.float32))
    halves = ((known[1:].astype(np.float64) + known[:-1]) / 2).astype(np.float32)
    near = np.concatenate([np.nextafter(halves, np.float32(-9)), halves, np.nextafter(halves, np.float32(9)), [-1, 9]])
    rows = np.stack([generator.permutation(near) for _ in range(2)], axis=1).astype(np.float32)
    np.testing.assert_allclose(compiled(rows), answer(fitted, table.native(table.decode(rows))), atol=1e-6)
