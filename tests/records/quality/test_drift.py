"""Drift: figures worked out by hand, wines of another colour, and halves of the same wines."""

import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from marmita import discovery
from marmita.records.quality import drift
from marmita.records.quality.drift import FEWEST_ROWS, Drift, chance, compare
from marmita.records.quality.evaluators import Evaluator, ValueEvaluator
from marmita.records.quality.reference import describe
from marmita.registry.packed_model import PackedModel
from marmita.training import rows
from marmita.training.reference import reference
from tests import samples

EXAMS: Any
EVALUATOR: Any
EXAMS, EVALUATOR = (discovery.runner(name).evaluator for name in ("fetal_health", "wine_quality"))

Floats = npt.NDArray[np.float32]

WHITES = {
    "fixed_acidity": (6.85, 0.84),
    "volatile_acidity": (0.278, 0.101),
    "citric_acid": (0.334, 0.121),
    "residual_sugar": (6.39, 5.07),
    "chlorides": (0.0458, 0.0218),
    "free_sulfur_dioxide": (35.3, 17.0),
    "total_sulfur_dioxide": (138.4, 42.5),
    "density": (0.99403, 0.00299),
    "ph": (3.188, 0.151),
    "sulphates": (0.490, 0.114),
    "alcohol": (10.51, 1.23),
}
"""Means and standard deviations of the white wines that were published with the red ones."""
ONE = ValueEvaluator("one", ("x",), target="y", low=0, high=1)


@pytest.fixture(scope="module")
def reds() -> Floats:
    """Each distinct red wine once."""
    wines = {tuple(wine.values()) for wine in samples.wines(10_000)["wines"]}
    return np.array(sorted(wines), dtype=np.float32)


def statistics(wines: Floats) -> dict[str, Any]:
    return reference(dict(zip(EVALUATOR.features, wines.T, strict=True)), {"quality": wines[:, -1]})


def scored(wines: Floats) -> Floats:
    """As if quality were alcohol."""
    return np.repeat(wines[:, -1:], 3, axis=1)


def watch(wines: Floats, known: dict[str, Any]) -> dict[str, Drift]:
    return {one.feature: one for one in drift.watch(EVALUATOR, known, wines, scored(wines))}


def test_white_wines_raise_the_alarm(reds: Floats) -> None:
    generator = np.random.default_rng(3)
    means, deviations = np.array([WHITES[name] for name in EVALUATOR.features]).T
    whites = np.maximum(generator.normal(means, deviations, size=(100, 11)), 0.001).astype(np.float32)

    found = watch(whites, statistics(reds))

    assert {"volatile_acidity", "chlorides", "total_sulfur_dioxide", "sulphates"} <= {
        name for name, one in found.items() if one.alarm
    }
    assert not found["alcohol"].alarm  # whites are as strong as reds


def test_half_of_the_red_wines_raises_no_alarm_against_the_other_half(reds: Floats) -> None:
    generator = np.random.default_rng(4)
    alarms = 0
    for _ in range(200):
        one, other = np.array_split(generator.permutation(reds), 2)
        alarms += any(found.alarm for found in watch(one, statistics(other)).values())

    assert alarms <= 2


def test_the_figures_are_those_worked_out_by_hand() -> None:
    """Ten deciles of the numbers 1 to 100, and 60 rows that are all in the lower half."""
    known = describe(np.arange(1, 101))
    rows = np.tile(np.arange(1, 51), 2)[:60].astype(float)
    now = np.array([20, 10, 10, 10, 10, 0, 0, 0, 0, 0]) + 0.5
    then = np.full(10, 10) + 0.5
    shares, known_shares = now / now.sum(), then / then.sum()

    change = compare(rows, known)

    assert change.psi == pytest.approx(float(((shares - known_shares) * np.log(shares / known_shares)).sum()))
    assert change.expected_psi == pytest.approx(9 * (1 / 60 + 1 / 100))
    assert change.statistic == pytest.approx(0.5)
    assert change.p == pytest.approx(chance(0.5, 60, 100))


@pytest.mark.parametrize(("distance", "p"), [(1.2239, 0.10), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)])
def test_the_chance_is_that_of_kolmogorovs_tables(distance: float, p: float) -> None:
    many = 10**8

    assert chance(distance / (many / 2) ** 0.5, many, many) == pytest.approx(p, rel=2e-3)


def test_the_chance_lies_between_none_and_all() -> None:
    assert chance(0, 100, 100) == 1
    assert 0 <= chance(1, 100, 100) < 1e-20
    steps = [chance(statistic, 100, 100) for statistic in np.linspace(0, 1, 101)]
    assert steps == sorted(steps, reverse=True)


def test_fewer_rows_than_fifty_get_no_verdict(reds: Floats) -> None:
    few = np.tile(reds[: FEWEST_ROWS - 1] * 3, (100, 1))  # asked again and again, and they are no more

    found = watch(few, statistics(reds))

    assert list(found) == [*EVALUATOR.features, "quality"]
    assert all(one.psi is None and one.p is None and not one.alarm for one in found.values())
    assert any(one.alarm for one in watch(reds[:FEWEST_ROWS] * 3, statistics(reds)).values())


def test_an_alarm_says_whether_inputs_or_predictions_have_drifted(reds: Floats) -> None:
    known = statistics(reds)

    found = drift.watch(EVALUATOR, known, reds, scored(reds) + 3)

    assert [(one.kind, one.feature) for one in found if one.alarm] == [("prediction", "quality")]


def test_a_surely_but_slightly_changed_feature_raises_no_alarm() -> None:
    generator = np.random.default_rng(5)
    known = {"features": {"x": describe(generator.normal(size=20_000))}, "predictions": {}}
    moved = generator.normal(0.2, 1, size=(20_000, 1)).astype(np.float32)

    (found,) = drift.watch(ONE, known, moved, np.zeros((20_000, 3), np.float32))

    assert found.p is not None
    assert found.p < 1e-20
    assert not found.alarm


def test_a_value_that_repeats_stays_on_its_side_of_an_edge() -> None:
    """Half of a model's answers may be one number. In single precision that is not quite the one of the reference."""
    repeated = 0.1 + 1e-9
    known = describe(np.r_[np.full(500, repeated), np.linspace(0.2, 1, 500)])
    now = np.r_[np.full(500, np.float32(repeated)), np.linspace(0.2, 1, 500, dtype=np.float32)].astype(np.float64)

    assert float(np.float32(repeated)) > repeated
    assert compare(now, known).statistic < 0.01


def test_a_feature_that_never_changed_drifts_when_it_does() -> None:
    known = describe(np.zeros(1000))

    assert compare(np.zeros(100), known).psi < 0.02
    assert compare(np.ones(100), known).psi > 1


def test_the_order_of_the_rows_says_nothing(reds: Floats) -> None:
    known = statistics(reds[:700])
    shuffled = reds[700:].tolist()
    random.Random(6).shuffle(shuffled)

    one, other = watch(reds[700:], known), watch(np.array(shuffled, dtype=np.float32), known)

    assert one == other


@pytest.mark.parametrize("name", ["fetal_health", "wine_quality"])
def test_a_packed_model_that_is_asked_what_it_was_made_for_raises_no_alarm(
    champions: dict[str, PackedModel], name: str
) -> None:
    """Rows that it has not seen, answered by what is served: single precision and all."""
    evaluator: Evaluator = {"fetal_health": EXAMS, "wine_quality": EVALUATOR}[name]
    unseen = rows.unseen(samples.exams(10_000)["exams"] if evaluator is EXAMS else samples.wines(10_000)["wines"])
    asked = np.array([list(row.values()) for row in unseen], dtype=np.float32)

    found = drift.watch(evaluator, champions[name].reference, asked, champions[name].compiled()(asked))

    assert len(asked) > 4 * FEWEST_ROWS
    assert len(found) == evaluator.width + (3 if evaluator is EXAMS else 1)
    assert [one.feature for one in found if one.alarm] == []
    assert all(one.statistic is not None and one.statistic < 0.01 for one in found if one.kind == "prediction")


def test_gaps_neither_break_nor_raise_the_drift_of_a_column(reds: Floats) -> None:
    gappy = reds.copy()
    gappy[::2, 0], gappy[:, 1] = np.nan, np.nan

    found = watch(gappy, statistics(reds))

    assert not found["fixed_acidity"].alarm
    assert found["fixed_acidity"].rows == np.isfinite(gappy[:, 0]).sum()
    assert (found["volatile_acidity"].rows, found["volatile_acidity"].psi) == (0, None)
