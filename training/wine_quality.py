"""Train the wine-quality regressor: laboratory values of a red wine to the tasters' score, with a 90 % interval."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, VotingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from bentos.wine_quality.contract import CONTRACT, HEADERS, NAME, Wine
from bentos.wine_quality.evaluator import EVALUATOR
from marmita.contract.schema import Floats, features
from marmita.registry.card import Headline
from marmita.registry.packed_model import PackedModel
from marmita.training.conversion import to_bytes, to_graph
from marmita.training.examples import FOLDER, SEED, Doubles, Examples, fingerprint, held_out
from marmita.training.labelled import with_labels
from marmita.training.packing import Candidate, HeldOut, pack
from marmita.training.reference import reference
from marmita.training.report import table
from marmita.training.run import from_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COVERAGE = 0.90
TARGET = "quality"


@dataclass(frozen=True)
class Recipe:
    """What can be turned. The defaults are what is served."""

    seed: int = SEED
    trees: int = 150
    iterations: int = 300
    folds: int = 5
    residual_folds: int = 10


@dataclass(frozen=True)
class ConformalInterval:
    """What is added to a score to get the two ends of its interval."""

    low: float
    high: float

    def coverage(self, residuals: Doubles) -> float:
        return float(np.mean((residuals >= self.low) & (residuals <= self.high)))


def read(path: Path = FOLDER / "winequality-red.csv") -> Examples[np.float64]:
    """Each distinct wine once. The model sees single precision: what it is served with."""
    wines = pd.read_csv(path, sep=";").drop_duplicates()
    rows = wines[[HEADERS.get(name, name) for name in features(Wine)]].to_numpy(dtype=np.float64)
    return Examples(
        features=rows.astype(np.float32),
        truths=wines[TARGET].to_numpy(dtype=np.float64),
        held_out=held_out(rows),
        source="Cortez et al. (2009), Wine Quality, red, UCI, doi 10.24432/C56S3T",
        licence="CC BY 4.0",
        fingerprint=fingerprint(wines),
    )


def read_with_labels() -> Examples[np.float64]:
    """The reference file, and the wines of the records of which a taster's score was told."""
    return with_labels(
        read(), EVALUATOR, CONTRACT, lambda truths: (truths >= EVALUATOR.low) & (truths <= EVALUATOR.high), first=0
    )


def model(recipe: Recipe) -> Pipeline:
    """A forest and boosting towards the mean, for R², and boosting towards the median, for the absolute error."""
    forest = ExtraTreesRegressor(n_estimators=recipe.trees, max_features=0.5, random_state=recipe.seed)
    mean = HistGradientBoostingRegressor(
        learning_rate=0.04,
        max_iter=recipe.iterations // 2,
        max_leaf_nodes=8,
        max_features=0.4,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=recipe.seed,
    )
    median = HistGradientBoostingRegressor(
        loss="absolute_error",
        learning_rate=0.05,
        max_iter=recipe.iterations,
        max_leaf_nodes=20,
        max_features=0.4,
        early_stopping=False,
        random_state=recipe.seed,
    )
    members = [("forest", forest), ("mean", mean), ("median", median)]
    return Pipeline([("scale", RobustScaler()), ("vote", VotingRegressor(members, weights=np.array([2.0, 1.0, 1.0])))])


def fit(recipe: Recipe, rows: Floats, quality: Doubles) -> Pipeline:
    """The model, with the scaler's statistics in single precision: the compiled graph has them so, and repeats the
    arithmetic to the last bit. One that is off by that bit can send a wine down another branch.
    """
    fitted = model(recipe).fit(rows, quality)
    scaler = fitted.named_steps["scale"]
    scaler.center_, scaler.scale_ = (part.astype(np.float32) for part in (scaler.center_, scaler.scale_))
    return fitted


def baselines() -> dict[str, Any]:
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 3, 11)))
    return {"mean": DummyRegressor(), "ridge regression": ridge}


def scores(quality: Doubles, predicted: Doubles) -> dict[str, float]:
    return {
        "mae": float(mean_absolute_error(quality, predicted)),
        "rmse": float(root_mean_squared_error(quality, predicted)),
        "r2": float(r2_score(quality, predicted)),
    }


def out_of_fold(estimator: Any, rows: Floats, quality: Doubles, folds: int, seed: int) -> Doubles:
    split = KFold(folds, shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(estimator, rows, quality, cv=split), dtype=np.float64)


def conformal(residuals: Doubles) -> ConformalInterval:
    """An interval that leaves at most half of the misses on either side, with room for the wine yet to come."""
    ordered = np.sort(residuals)
    spare = int((len(ordered) + 1) * (1 - COVERAGE) / 2)
    if spare < 1:
        raise ValueError(f"{len(ordered)} residuals are too few for an interval of {COVERAGE:.0%}")
    return ConformalInterval(low=float(ordered[spare - 1]), high=float(ordered[-spare]))


def compiled(fitted: Pipeline, interval: ConformalInterval) -> bytes:
    """One graph: `features` to `quality`, `low` and `high`."""
    graph = to_graph(
        fitted,
        fitted.named_steps["vote"].estimators_,
        len(features(Wine)),
        final_types=[("quality", FloatTensorType([None, 1]))],
        options={RobustScaler: {"div": "div"}},
    )
    for name, offset in asdict(interval).items():
        _add_offset(graph.graph, name, offset)
    return to_bytes(graph)


def train(recipe: Recipe | None = None, wines: Examples[np.float64] | None = None) -> PackedModel:
    """Cross-validate, fit, calibrate, score on held-out wines, and pack."""
    recipe, wines = recipe or Recipe(), wines or read()
    (rows, quality), (unseen, truth) = wines.seen, wines.unseen

    print(f"wine_quality: {len(quality)} wines to learn from, {len(truth)} held out, seed {recipe.seed}")
    print(f"  cross-validating the recipe, {recipe.folds} folds")
    folded = out_of_fold(model(recipe), wines.features, wines.truths, recipe.folds, recipe.seed)
    print(f"  fitting the interval on out-of-fold residuals, {recipe.residual_folds} folds")
    interval = conformal(quality - out_of_fold(model(recipe), rows, quality, recipe.residual_folds, recipe.seed))
    print("  fitting the model and its baselines")
    fitted = fit(recipe, rows, quality)
    predicted = fitted.predict(unseen)
    by_baseline = {name: scores(truth, b.fit(rows, quality).predict(unseen)) for name, b in baselines().items()}
    held_out_scores = scores(truth, predicted) | {
        "interval_coverage": interval.coverage(truth - predicted),
        "interval_width": interval.high - interval.low,
    }
    cross_validation = scores(wines.truths, folded)
    _summary(held_out_scores, by_baseline, cross_validation)

    best = min(by_baseline, key=lambda name: by_baseline[name]["mae"])
    return pack(
        Candidate(
            name=NAME,
            about="Scores red wines from 0 to 10, as tasters would",
            seed=recipe.seed,
            data=wines.described(),
            parameters=asdict(recipe),
            libraries=("scikit-learn", "skl2onnx", "onnx", "numpy"),
            module="bentoml.sklearn",
            native=lambda folder: joblib.dump(fitted, folder / "saved_model.pkl"),
            compiled=compiled(fitted, interval),
            contract=CONTRACT,
            reference=reference(
                dict(zip(features(Wine), rows.T, strict=True)), {"quality": predicted}, coverage=COVERAGE
            ),
            headline=Headline(
                metric="mae",
                value=held_out_scores["mae"],
                baseline=best,
                baseline_value=by_baseline[best]["mae"],
                higher_is_better=False,
            ),
            held_out=HeldOut(
                rows=unseen,
                native_outputs=np.column_stack([predicted, predicted + interval.low, predicted + interval.high]),
                score=lambda outputs: scores(truth, outputs[:, 0])["mae"],
            ),
            scores=held_out_scores,
            baselines={name: dict(values) for name, values in by_baseline.items()},
            cross_validation=dict(cross_validation),
            labels={"task": "regression", "framework": "scikit-learn"},
        )
    )


def _add_offset(graph: onnx.GraphProto, name: str, offset: float) -> None:
    constant = np.array([offset], dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(constant, f"{name}_offset"))
    graph.node.append(helper.make_node("Add", ["quality", f"{name}_offset"], [name], name=name))
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]))


def _summary(
    held_out: Mapping[str, float], by_baseline: Mapping[str, Mapping[str, float]], folded: Mapping[str, float]
) -> None:
    lines = {"this model": held_out, **by_baseline, "this recipe, cross-validated": folded}
    print()
    print(table("on held-out wines", ["mae", "rmse", "r2"], lines))
    print(
        f"The {COVERAGE:.0%} interval holds {held_out['interval_coverage']:.1%} of the held-out wines; "
        f"it is {held_out['interval_width']:.2f} wide."
    )


def pictures(packed: PackedModel) -> dict[str, "Figure"]:
    """What is drawn of a model where its runs are compared."""
    from marmita.training import figures

    return {"scores": figures.marks(packed, *read().unseen)}


def main() -> None:
    def run(seed: int, labels: bool) -> PackedModel:
        return train(Recipe(seed=seed), read_with_labels() if labels else read())

    from_rows(NAME, __doc__, run, pictures)


if __name__ == "__main__":
    main()
