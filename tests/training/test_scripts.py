"""The scripts: the same seed the same scores, honest scores, and only what is right is packed."""

import math
from dataclasses import replace
from pathlib import Path

import bentoml
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from marmita import discovery
from marmita.registry import champions, packed_model, startup
from marmita.registry.onnx_model import OnnxModel
from marmita.registry.packed_model import PackedModel
from marmita.training import packing
from marmita.training.conversion import to_bytes, to_graph
from marmita.training.packing import HeldOut, NotTheSameError
from marmita.training.regressor import WithInterval
from tests import samples
from training import wine_quality
from training.stock_forecast import path_scores, prices, train
from training.stock_forecast.windows import OUTPUTS, Recipe, windows


@pytest.mark.parametrize("name", samples.SMALL)
def test_the_same_seed_gives_the_same_scores(champions: dict[str, PackedModel], empty_store: Path, name: str) -> None:
    again = discovery.training(name).train(**samples.SMALL[name])

    first = champions[name].card
    assert again.card.held_out == first.held_out
    assert again.card.cross_validation == first.cross_validation
    assert again.card.baselines == first.baselines
    assert again.card.data == first.data


def test_another_seed_gives_another_model(champions: dict[str, PackedModel], empty_store: Path) -> None:
    other = wine_quality.TRAINING.train(**(samples.WINE_QUALITY | {"seed": 8}))

    assert other.card.held_out != champions["wine_quality"].card.held_out
    assert other.card.data == champions["wine_quality"].card.data


@pytest.mark.parametrize("name", samples.SMALL)
def test_a_script_ends_with_scores_beside_the_baselines(
    empty_store: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    packed = discovery.training(name).train(**samples.SMALL[name])

    said = capsys.readouterr().out
    assert packed.tag in said
    assert packed.card.headline.baseline in said
    assert packed.card.verdict.reason in said


def test_a_worse_model_is_kept_but_not_promoted(empty_store: Path) -> None:
    good = wine_quality.TRAINING.train(**(samples.WINE_QUALITY | {"trees": 60, "iterations": 150}))
    assert good.card.verdict.promoted

    worse = wine_quality.TRAINING.train(**(samples.WINE_QUALITY | {"trees": 1, "iterations": 2}))

    assert not worse.card.verdict.promoted
    assert champions.champion("wine_quality") == good
    assert str(bentoml.models.get("wine_quality:latest").tag) == worse.tag
    assert str(startup.first_version("wine_quality", good.contract).tag) == good.tag


def test_a_model_that_does_not_beat_its_baselines_leaves_nothing_to_serve(empty_store: Path) -> None:
    poor = wine_quality.TRAINING.train(**(samples.WINE_QUALITY | {"trees": 1, "iterations": 2}))

    assert not poor.card.verdict.promoted
    assert "does not beat its baselines" in poor.card.verdict.reason
    assert champions.champion("wine_quality") is None


@pytest.mark.parametrize("file", ["compiled.onnx", "card.json", "contract.json"])
def test_a_damaged_champion_does_not_stand_in_the_way(empty_store: Path, file: str) -> None:
    recipe = samples.WINE_QUALITY | {"trees": 60, "iterations": 150}
    damaged = wine_quality.TRAINING.train(**recipe)
    (damaged.path / file).write_text("{}")

    again = wine_quality.TRAINING.train(**recipe)

    assert again.card.verdict.promoted
    assert champions.champion("wine_quality") == again


def test_a_compiled_model_that_differs_stops_the_packing(empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert = wine_quality.TRAINING.convert

    def moved(fitted: WithInterval) -> bytes:
        interval = replace(fitted.interval, low=fitted.interval.low + 2e-4)
        return convert(replace(fitted, interval=interval))

    monkeypatch.setattr(wine_quality.TRAINING, "convert", moved)

    with pytest.raises(NotTheSameError, match="nothing is packed"):
        wine_quality.TRAINING.train(**samples.WINE_QUALITY)
    assert list(empty_store.iterdir()) == []


def test_a_compiled_model_that_gives_nan_is_different(champions: dict[str, PackedModel]) -> None:
    wines = wine_quality.read()
    compiled = (champions["wine_quality"].path / packed_model.COMPILED).read_bytes()
    expected = np.full((len(wines.unseen[0]), 3), math.nan)

    with pytest.raises(NotTheSameError):
        packing.compare(compiled, HeldOut(wines.unseen[0], expected, lambda _: 0.0))


def test_no_value_changes_sides_when_a_threshold_is_compiled() -> None:
    """Inputs that equal the thresholds of boosting to the last bit, where single precision has room for doubt."""
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 50, size=(400, 3)).astype(np.float32) / 7
    model = HistGradientBoostingRegressor(max_iter=30, min_samples_leaf=2).fit(rows, generator.normal(size=400))
    thresholds = np.concatenate([tree.nodes["num_threshold"] for trees in model._predictors for tree in trees])
    near = np.unique(thresholds[np.isfinite(thresholds)].astype(np.float32))
    below, above = np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))
    values = np.concatenate([below, near, above])
    questions = np.stack([generator.permutation(values) for _ in range(3)], axis=1)

    compiled = OnnxModel(to_bytes(to_graph(model, 3)))

    assert compiled(questions)[:, 0] == pytest.approx(model.predict(questions), abs=1e-5)


def test_persistence_scores_as_persistence() -> None:
    periods = train.split(prices.read())
    calibration, unseen = (windows(period, Recipe()) for period in (periods.calibration, periods.unseen))

    for baseline in (path_scores.persistence, path_scores.random_walk):
        days = path_scores.by_day(baseline(calibration, unseen), unseen, daily_change=1.0)

        assert [day["mae_ratio"] for day in days] == pytest.approx([1.0] * 10)
        assert all(0.8 < day["coverage"] < 1 for day in days)


def test_a_forecaster_is_not_compared_with_one_that_has_seen_its_test(
    empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train.train(samples.STOCK_FORECAST)
    champions.promote(first)
    monkeypatch.setattr(train, "first_unseen", lambda days: int(0.755 * days))

    second = train.train(samples.STOCK_FORECAST)

    assert not second.card.verdict.promoted
    assert "can't be compared" in second.card.verdict.reason
    assert champions.champion("stock_forecast") == first


@pytest.mark.parametrize(
    ("change", "said"),
    [({"mae_ratio": 1.02}, "day 3"), ({"coverage": 0.8}, "day 3"), ({"coverage": 0.97}, "day 3")],
)
def test_a_path_worse_than_persistence_on_any_day_is_a_flaw(change: dict[str, float], said: str) -> None:
    good = [{"day": day, "mae_ratio": 1.0, "coverage": 0.9} for day in range(1, 11)]

    assert path_scores.flaw(good) is None
    assert said in str(path_scores.flaw([*good[:2], good[2] | change, *good[3:]]))


def test_the_native_forecaster_loads_without_our_code(champions: dict[str, PackedModel]) -> None:
    import keras

    model = keras.saving.load_model(champions["stock_forecast"].path / "model.keras")
    closes = np.linspace(20, 25, 60, dtype=np.float32)[None]

    native = np.hstack([np.asarray(model.predict(closes, verbose=0)[name]) for name in OUTPUTS])
    assert champions["stock_forecast"].compiled()(closes) == pytest.approx(native, rel=1e-4)
