"""A compiled model that answers otherwise is found out, on whatever rows it does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from marmita.contract.columns import Column
from marmita.training.conversion import in_single_precision, to_bytes
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.frame import Table
from marmita.training.estimators.graph import rounding, to_table_graph
from marmita.training.estimators.trial import Trial, unseen_words
from marmita.training.packing import TOLERANCE
from tests.training.estimators import sample
from tests.training.estimators.sample import prepared


def trial(estimator: Any, frame: pd.DataFrame | None = None) -> Trial:
    frame = sample.table() if frame is None else frame
    table, values = Table.read(frame)
    table = table.learn(values)
    truths = sample.answers(sample.table()).to_numpy()
    fitted = in_single_precision(rounding(estimator).fit(table.native(values), truths))
    compiled = to_bytes(to_table_graph(fitted, table.columns, 2))
    return Trial(table, fitted, compiled, table.encode(values), 1.0, seed=7)


@pytest.fixture(scope="module")
def boosted() -> Trial:
    return trial(make_pipeline(prepared(), HistGradientBoostingClassifier(max_iter=5)))


def accepted(found: Table, what: str) -> list[str]:
    return [column.name for column in found.columns if getattr(column, what)]


def test_what_the_estimator_takes_is_accepted(boosted: Trial) -> None:
    found, compared = boosted.run()

    assert accepted(found, "gaps") == [column.name for column in found.columns]
    assert accepted(found, "unseen") == sample.WORDS
    assert compared.rows > 1_000
    assert 0 < compared.difference < TOLERANCE / 100


def test_what_the_estimator_refuses_is_refused() -> None:
    frame = sample.table().fillna({sample.PRICE: 0.0, sample.CITY: "c0"})
    words = OneHotEncoder(handle_unknown="error")

    found, _ = trial(make_pipeline(prepared("passthrough", words), LogisticRegression(max_iter=500)), frame).run()

    assert accepted(found, "gaps") == []
    assert accepted(found, "unseen") == []


def test_unseen_words_that_a_graph_can_not_tell_apart_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The estimator finds two known cities in "c0 c9", and the graph knows only that it is no city."""
    frame = sample.table()[[sample.CITY]].fillna("c0")
    counts = ColumnTransformer([("cities", CountVectorizer(lowercase=False, token_pattern=r"[^ ]+"), sample.CITY)])

    found, _ = trial(make_pipeline(counts, LogisticRegression()), frame).run()

    assert accepted(found, "unseen") == []
    assert f"an unseen word in the column {sample.CITY} is refused" in capsys.readouterr().out


def test_a_gap_that_the_training_had_must_be_answered_alike(boosted: Trial) -> None:
    with pytest.raises(CannotPackError, match="rows of the training") as error:
        replace(
            boosted, compiled=changed(boosted.compiled, "nodes_missing_value_tracks_true", lambda way: 1 - way)
        ).run()

    assert error.value.code is Problem.DIFFERENCE


def test_a_threshold_that_moved_by_the_last_bit_is_found() -> None:
    frame = sample.table()[[sample.VISITS, sample.SCORE]].round(1)
    exact = trial(HistGradientBoostingClassifier(max_iter=5), frame)

    def up(value: float) -> float:
        return float(np.nextafter(np.float32(value), np.float32(np.inf)))

    with pytest.raises(CannotPackError, match="next to thresholds") as error:
        replace(exact, compiled=changed(exact.compiled, "nodes_values", up)).run()

    assert error.value.code is Problem.DIFFERENCE
    exact.run()


def test_an_unseen_word_that_has_another_answer_is_refused(boosted: Trial) -> None:
    """The graph takes one for a colour that matters."""
    model = onnx.load_model_from_string(boosted.compiled)
    (vocabulary,) = [one for one in model.graph.initializer if one.name == "decode_vocabulary"]
    vocabulary.string_data[1] = b"red"

    found, _ = replace(boosted, compiled=model.SerializeToString()).run()

    assert accepted(found, "unseen") == [sample.CITY]


def test_a_model_without_an_answer_is_another_one(boosted: Trial) -> None:
    model = onnx.load_model_from_string(boosted.compiled)
    model.graph.node[-1].domain = "nowhere"

    with pytest.raises(CannotPackError) as error:
        replace(boosted, compiled=model.SerializeToString()).run()

    assert error.value.code is Problem.DIFFERENCE


def test_gaps_and_unseen_words_are_asked_together() -> None:
    class Strict(RandomForestClassifier):  # type: ignore[misc]
        def predict_proba(self, X: Any) -> Any:  # noqa: N803
            if (np.isnan(np.asarray(X, dtype=float)).sum(axis=1) > 1).any():
                raise ValueError("two gaps are too many")
            return super().predict_proba(X)

    frame = sample.table()[[sample.VISITS, sample.SCORE]]
    found = trial(RandomForestClassifier(5, random_state=3), frame)
    strict = Strict(5, random_state=3).fit(frame, sample.answers(frame.join(sample.table()[sample.COLOUR])))

    with pytest.raises(CannotPackError, match="several columns") as error:
        replace(found, estimator=strict).run()

    assert error.value.code is Problem.ESTIMATOR


def test_unseen_words_are_like_those_that_were_seen() -> None:
    words = unseen_words(("Rio", "rio", "São Paulo"))

    assert {"Rio São Paulo", "RIO", "Rio "} <= set(words)
    assert "rio" not in words


def changed(compiled: bytes, name: str, change: Callable[[Any], Any]) -> bytes:
    """Return a model with each value of this attribute of its trees changed."""
    model = onnx.load_model_from_string(compiled)
    for attribute in (one for node in model.graph.node for one in node.attribute if one.name == name):
        for values in (attribute.ints, attribute.floats):
            values[:] = [change(value) for value in values]
    content: bytes = model.SerializeToString()
    return content


def test_columns_keep_their_order(boosted: Trial) -> None:
    found, _ = boosted.run()

    assert [column.name for column in found.columns] == list(sample.table().columns)
    assert all(isinstance(column, Column) for column in found.columns)
