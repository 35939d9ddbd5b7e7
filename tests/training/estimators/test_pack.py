"""An estimator from a notebook becomes a packed model, or leaves nothing behind."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import marmita
from marmita.contract.columns import UNSEEN, columns_of, encoder
from marmita.registry import champions
from marmita.registry.card import distinct_figures
from marmita.training.estimators.errors import CannotPackError, Problem
from marmita.training.estimators.pack import pack
from tests.messages import mentions
from tests.training.estimators import sample
from tests.training.estimators.sample import prepared


def boosting() -> Any:
    return make_pipeline(prepared(), HistGradientBoostingClassifier(max_iter=20, random_state=3))


def linear() -> Any:
    return make_pipeline(prepared(SimpleImputer()), LogisticRegression(max_iter=500))


def values() -> Any:
    return make_pipeline(prepared(), HistGradientBoostingRegressor(max_iter=20, random_state=3))


def test_a_packed_classifier_has_all_that_is_served_and_judged(empty_store: Path) -> None:
    frame = sample.table()

    found = pack(
        boosting(), frame, sample.answers(frame), name="stays", about="Who stays", source="here", licence="CC0"
    )

    packed, card, contract = found.packed, found.card, found.contract
    assert found.promoted
    assert champions.champion("stays") == packed
    assert {key: contract[key] for key in contract if key != "features"} == {
        "task": "classification",
        "target": "stays",
        "classes": ["no", "yes"],
    }
    assert (card.about, card.data.source, card.data.licence) == ("Who stays", "here", "CC0")
    assert card.data.rows + card.data.rows_held_out == len(frame)
    assert card.compiled_rows is not None
    assert card.compiled_rows > 1_000
    assert card.compiled_difference < 1e-5
    assert list(card.baselines) == ["majority class", "logistic regression"]
    assert card.headline.metric == "macro_f1"
    assert {"calibration_error", "calibration_bound", "calibrated"} <= card.held_out.keys()
    assert list(packed.reference["features"]) == list(frame.columns)
    assert list(packed.reference["predictions"]) == ["no", "yes"]
    assert packed.compiled().outputs == {"probabilities": 2}


def test_each_column_is_described_in_the_contract(empty_store: Path) -> None:
    frame = sample.table()

    features = pack(boosting(), frame, sample.answers(frame), name="stays").contract["features"]

    described = {feature["name"]: feature for feature in features}
    assert list(described) == list(frame.columns)
    visits = {
        "name": "a b",
        "kind": "integer",
        "unit": None,
        "low": None,
        "high": None,
        "description": "",
        "gaps": True,
        "unseen": False,
        "example": described[sample.VISITS]["example"],
        "seen": [0, 19],
        "missing": 0.0,
    }
    assert described[sample.VISITS] == {**described[sample.VISITS], **visits}
    assert described[sample.CITY]["categories"] == sorted({*frame[sample.CITY].dropna()})
    assert described[sample.CITY]["missing"] == pytest.approx(0.1, abs=0.05)
    assert (described[sample.CITY]["gaps"], described[sample.CITY]["unseen"]) == (True, True)
    assert described[sample.MEMBER]["kind"] == "boolean"
    assert described[sample.MEMBER]["example"] in (True, False)
    assert "seen" not in described[sample.MEMBER]
    low, high = described[sample.PRICE]["seen"]
    assert (low, high) == (round(low, 1), round(high, 1))  # no digits of double precision
    assert encoder(columns_of({"features": features}))([[one["example"]] for one in features]).shape == (1, 6)


def test_a_packed_regressor_has_an_interval(empty_store: Path) -> None:
    frame = sample.table()

    found = pack(values(), frame, sample.values(frame), name="spent")

    assert found.promoted
    assert found.packed.compiled().outputs == {"value": 1, "low": 1, "high": 1}
    value, low, high = found.packed.compiled()(found.rows).T
    assert np.all((low < value) & (value < high))
    assert found.card.held_out["interval_coverage"] == pytest.approx(0.9, abs=0.08)
    assert found.card.held_out["interval_width"] == pytest.approx((high - low).mean(), rel=1e-5)
    assert found.packed.reference["coverage"] == 0.9
    assert list(found.packed.reference["predictions"]) == ["value"]
    assert "classes" not in found.contract


def test_the_native_model_is_packed_too_and_answers_alike(empty_store: Path) -> None:
    frame = sample.table()
    found = pack(boosting(), frame, sample.answers(frame), name="stays")

    native = bentoml.sklearn.load_model(found.tag)

    rows = frame.assign(**{sample.SCORE: frame[sample.SCORE].astype(np.float32).astype(float)}).head(20)
    encoded = encoder(columns_of(found.contract))(
        [rows[name].astype(object).where(rows[name].notna(), None).tolist() for name in rows]
    )
    np.testing.assert_allclose(found.packed.compiled()(encoded), native.predict_proba(rows), atol=1e-6)


def test_the_same_rows_and_seed_give_the_same_model(empty_store: Path) -> None:
    frame = sample.table()

    one, other = (pack(values(), frame, sample.values(frame), name="spent").packed for _ in range(2))

    assert one.digest == other.digest
    assert one.card.data.fingerprint == other.card.data.fingerprint


def test_arrays_are_packed_as_well(empty_store: Path) -> None:
    frame = sample.table()[[sample.VISITS, sample.SCORE]].to_numpy()

    found = pack(
        HistGradientBoostingClassifier(max_iter=20), frame, (np.abs(frame[:, 1]) > 0.7).astype(int), name="arrays"
    )

    assert [feature["name"] for feature in found.contract["features"]] == ["x0", "x1"]
    assert (found.contract["target"], found.contract["classes"]) == ("y", ["0", "1"])


def test_an_estimator_that_was_fitted_is_fitted_anew_without_the_held_out_rows(
    empty_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, truths = sample.table(), sample.answers(sample.table())

    fresh = pack(boosting(), frame, truths, name="stays")
    said = capsys.readouterr().out
    fitted = pack(boosting().fit(frame, truths), frame, truths, name="stays")

    assert fresh.packed.digest == fitted.packed.digest
    assert "fitted anew" not in said
    assert "fitted anew" in capsys.readouterr().out


def test_with_rows_to_score_it_on_a_fitted_estimator_stays_as_it_is(empty_store: Path) -> None:
    frame = rounded()
    truths = sample.answers(frame)
    fitted = boosting().fit(frame[:300], truths[:300])
    expected = fitted.predict_proba(frame[300:])

    found = pack(fitted, frame[:300], truths[:300], name="stays", holdout=(frame[300:], truths[300:]))

    np.testing.assert_allclose(found.packed.compiled()(found.rows), expected, atol=1e-6)
    np.testing.assert_array_equal(fitted.predict_proba(frame[300:]), expected)
    assert (found.card.data.rows, found.card.data.rows_held_out) == (300, 100)


def test_with_rows_to_score_it_on_an_unfitted_estimator_is_fitted_on_the_others(empty_store: Path) -> None:
    frame = rounded()
    truths = sample.answers(frame)
    estimator = boosting()

    found = pack(estimator, frame[:300], truths[:300], name="stays", holdout=(frame[300:], truths[300:]))

    expected = boosting().fit(frame[:300], truths[:300]).predict_proba(frame[300:])
    np.testing.assert_allclose(found.packed.compiled()(found.rows), expected, atol=1e-6)
    assert not hasattr(estimator.steps[-1][1], "classes_")


def rounded() -> pd.DataFrame:
    """The rows without digits that single precision does not keep: a tree might tell two of them apart."""
    frame = sample.table()
    return frame.assign(**{sample.SCORE: frame[sample.SCORE].round(2)})


def test_held_out_rows_that_the_estimator_does_not_take_are_not_scored(
    empty_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = sample.table().fillna({sample.CITY: "c0"}).copy()
    frame.loc[frame.index[::10], sample.CITY] = [f"rare {place}" for place in range(40)]
    words = OneHotEncoder(handle_unknown="error", sparse_output=False)
    model = make_pipeline(prepared(words=words), HistGradientBoostingClassifier(max_iter=20))

    found = pack(model, frame, sample.answers(frame), name="stays")

    left_out = int(re.findall(r"(\d+) held-out rows have", capsys.readouterr().out)[0])
    assert left_out > 0
    assert found.card.data.rows + found.card.data.rows_held_out == len(frame) - left_out
    assert not np.any(found.rows == UNSEEN)


def test_what_learnt_nothing_is_kept_but_not_promoted(empty_store: Path) -> None:
    frame = sample.table()
    noise = pd.Series(np.random.default_rng(5).normal(size=len(frame)))

    found = pack(values(), frame, noise, name="noise")

    assert not found.promoted
    assert mentions(found.card.verdict.reason, "mean", *distinct_figures(found.card.headline.value))
    assert champions.champion("noise") is None


def test_a_linear_model_may_be_as_good_as_the_linear_baseline(empty_store: Path) -> None:
    frame = sample.table()

    assert pack(linear(), frame, (frame[sample.COLOUR] == "red").astype(int), name="red").promoted


def test_a_champion_with_other_categories_is_asked_in_its_own(empty_store: Path) -> None:
    """The second training has a word that comes before all others: their places move by one."""
    frame, truths = sample.table(), sample.answers(sample.table())
    first = pack(boosting(), frame, truths, name="stays")
    more = frame.copy()
    more.loc[more.index[:40], sample.COLOUR] = "Amber"

    second = pack(boosting(), more, truths, name="stays")

    assert second.contract["features"][4]["categories"] == ["Amber", *first.contract["features"][4]["categories"]]
    (score,) = re.findall(rf"and ([\d.]+) of the champion {first.tag}", second.card.verdict.reason)
    assert float(score) > 0.85


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda frame: frame.drop(columns=sample.MEMBER), "another contract"),
        (lambda frame: frame.assign(**{sample.VISITS: frame[sample.VISITS].astype(float)}), "other kinds"),
    ],
)
def test_a_champion_of_other_columns_is_not_compared(change: Any, why: str, empty_store: Path) -> None:
    frame, truths = sample.table(), sample.answers(sample.table())
    other = change(frame)
    numbers = [name for name in sample.NUMBERS if name in other]
    model = make_pipeline(clone(prepared()), HistGradientBoostingClassifier(max_iter=20))
    model.set_params(columntransformer__numbers="passthrough")
    pack(model, frame, truths, name="stays")
    model.steps[0][1].transformers = [
        (name, step, numbers if name == "numbers" else chosen) for name, step, chosen in model.steps[0][1].transformers
    ]

    found = pack(model, other, truths, name="stays")

    assert found.promoted
    assert "the champion is not compared" in found.card.verdict.reason
    assert why in found.card.verdict.reason


def test_a_champion_that_does_not_take_gaps_is_not_compared(empty_store: Path) -> None:
    frame, truths = sample.table(), sample.answers(sample.table())
    whole = frame.fillna({sample.PRICE: 0.0, sample.CITY: "c0"})
    pack(make_pipeline(prepared(), LogisticRegression(max_iter=500)), whole, whole[sample.MEMBER], name="stays")
    assert champions.champion("stays") is not None

    found = pack(linear(), frame, frame[sample.MEMBER], name="stays")

    assert re.search(r"does not accept \d+ of the held-out rows", found.card.verdict.reason)
    assert len(truths) == len(frame)


FRAME, TRUTHS = sample.table(), sample.answers(sample.table())
WRONG: dict[str, tuple[dict[str, Any], Problem]] = {
    "capital": ({"name": "Stays"}, Problem.NAME),
    "empty name": ({"name": ""}, Problem.NAME),
    "long name": ({"name": "a" * 64}, Problem.NAME),
    "path": ({"name": "a/b"}, Problem.NAME),
    "no text": ({"name": None}, Problem.NAME),
    "a model with code": ({"name": "wine_quality"}, Problem.NAME),
    "no table": ({"X": [[1, 2]]}, Problem.TABLE),
    "dates": ({"X": FRAME.assign(day=pd.Timestamp("2024-01-01"))}, Problem.COLUMN),
    "infinite": ({"X": FRAME.assign(**{sample.SCORE: np.inf})}, Problem.VALUE),
    "fewer truths": ({"y": TRUTHS[:-1]}, Problem.TARGET),
    "a gap in y": ({"y": TRUTHS.where(TRUTHS.index > 3)}, Problem.TARGET),
    "one class": ({"y": ["a"] * len(FRAME)}, Problem.TARGET),
    "too many classes": ({"y": list(range(len(FRAME)))}, Problem.TARGET),
    "few rows": ({"X": FRAME[:40], "y": TRUTHS[:40]}, Problem.ROWS),
    "an unknown class in the held-out rows": ({"holdout": (FRAME[:50], ["a"] * 50)}, Problem.TARGET),
    "other columns in the held-out rows": ({"holdout": (FRAME[:50][[sample.CITY]], TRUTHS[:50])}, Problem.TABLE),
    "clusters": ({"estimator": KMeans()}, Problem.ESTIMATOR),
    "no encoder": ({"estimator": LogisticRegression()}, Problem.FIT),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_error_leaves_nothing_behind(kind: str, empty_store: Path) -> None:
    changed, problem = WRONG[kind]
    arguments: dict[str, Any] = {"estimator": linear(), "X": FRAME, "y": TRUTHS, "name": "stays"} | changed

    with pytest.raises(CannotPackError) as error:
        pack(**arguments)

    assert error.value.code is problem
    assert list(empty_store.iterdir()) == []


def test_an_estimator_that_can_not_be_saved_is_not_packed(empty_store: Path) -> None:
    frame = sample.table()[[sample.SCORE]]
    model = Ridge().fit(frame, sample.values(sample.table()))
    model.note = lambda: "of a notebook"

    with pytest.raises(CannotPackError) as error:
        pack(model, frame, sample.values(sample.table()), name="spent", holdout=(frame, sample.values(sample.table())))

    assert error.value.code is Problem.SAVING
    assert list(empty_store.iterdir()) == []


def test_it_is_imported_when_it_is_used() -> None:
    code = "import marmita, sys; print([name for name in ('bentoml', 'sklearn', 'pandas') if name in sys.modules])"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert printed.stdout == "[]\n"
    assert marmita.pack is pack
    with pytest.raises(AttributeError, match="unpack"):
        _ = marmita.unpack
