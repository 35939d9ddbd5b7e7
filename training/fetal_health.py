"""Train the fetal-health classifier: features of a cardiotocogram to normal, suspect or pathological."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from bentos.fetal_health.contract import CONTRACT, HEADERS, NAME, STATUSES, Exam
from bentos.fetal_health.evaluator import EVALUATOR
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

LABELS = (1, 2, 3)
TARGET = "fetal_health"
CALIBRATION_BINS = 10
DIFFERENCES = (
    ("histogram_mean", "histogram_mode"),
    ("histogram_mean", "histogram_median"),
    ("histogram_max", "baseline_value"),
    ("baseline_value", "histogram_mean"),
    ("baseline_value", "histogram_mode"),
    ("baseline_value", "histogram_min"),
)
"""How the histogram lies around the baseline: a tree can't subtract."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """What can be turned. The defaults are what is served."""

    seed: int = SEED
    trees: int = 100
    iterations: int = 120
    folds: int = 5
    shufflings: int = 3


def read(path: Path = FOLDER / "fetal_health.csv") -> Examples[np.int64]:
    """Each distinct exam once. Where two opinions on one exam differ, the graver one counts.

    The model sees single precision: what it is served with.
    """
    columns = [HEADERS.get(name, name) for name in features(Exam)]
    exams = pd.read_csv(path).groupby(columns, sort=False, as_index=False)[TARGET].max()
    rows = exams[columns].to_numpy(dtype=np.float64)
    return Examples(
        features=rows.astype(np.float32),
        truths=exams[TARGET].to_numpy(dtype=np.int64),
        held_out=held_out(rows),
        source="Campos & Bernardes (2000), Cardiotocography, UCI, doi 10.24432/C51S4N",
        licence="CC BY 4.0",
        fingerprint=fingerprint(exams),
    )


def read_with_labels() -> Examples[np.int64]:
    """The reference file, and the exams of the records of which a class was told."""
    places = range(len(STATUSES))
    return with_labels(read(), EVALUATOR, CONTRACT, lambda truths: np.isin(truths, places), first=LABELS[0])


def model(recipe: Recipe) -> Pipeline:
    """Two parts of boosting, which is overconfident, and one of a forest, which is the opposite.

    Boosting alone tells the classes apart as well, but its probabilities are far too sharp. Those of the vote can be
    trusted without another fit.
    """
    boosting = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=recipe.iterations,
        max_leaf_nodes=31,
        max_features=0.4,
        early_stopping=False,
        random_state=recipe.seed,
    )
    forest = ExtraTreesClassifier(
        n_estimators=recipe.trees,
        max_features=None,
        min_samples_leaf=2,
        class_weight="balanced",
        random_state=recipe.seed,
    )
    vote = VotingClassifier(
        [("boosting", boosting), ("forest", forest)],
        voting="soft",
        weights=np.array([2.0, 1.0]),
        flatten_transform=False,
    )
    return Pipeline([("differences", FunctionTransformer(np.dot, kw_args={"b": differences()})), ("vote", vote)])


def differences() -> Floats:
    """The matrix that keeps the features and appends their differences.

    All columns in a difference hold whole numbers, so single precision makes no error here.
    """
    names = features(Exam)
    matrix = np.eye(len(names), len(names) + len(DIFFERENCES), dtype=np.float32)
    for column, (plus, minus) in enumerate(DIFFERENCES, start=len(names)):
        matrix[names.index(plus), column] = 1
        matrix[names.index(minus), column] = -1
    return matrix


def baselines() -> dict[str, Any]:
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return {"majority class": DummyClassifier(strategy="prior"), "logistic regression": logistic}


def calibration_error(labels: Labels, probabilities: Doubles) -> float:
    """Expected calibration error: how far confidence is from accuracy, over bins of equal width."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) + 1 == labels
    place = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def scores(labels: Labels, probabilities: Doubles) -> dict[str, Any]:
    predicted = probabilities.argmax(axis=1) + 1
    whole = probabilities / probabilities.sum(axis=1, keepdims=True)
    by_class = precision_recall_fscore_support(labels, predicted, labels=LABELS, zero_division=0)
    return {
        "macro_f1": float(np.mean(by_class[2])),
        "log_loss": float(log_loss(labels, whole, labels=LABELS)),
        "calibration_error": calibration_error(labels, probabilities),
        "classes": {
            status: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "exams": int(exams)}
            for status, precision, recall, f1, exams in zip(STATUSES, *by_class, strict=True)
        },
        "confusion": confusion_matrix(labels, predicted, labels=LABELS).tolist(),
    }


def cross_validate(recipe: Recipe, exams: Examples[np.int64]) -> dict[str, Any]:
    """Scores of the recipe on every distinct exam, each predicted by a model that has not seen it.

    One shuffling moves macro-F1 by half a point either way, so there are several; the counts are those of all.
    """
    folded = []
    for shuffling in range(recipe.shufflings):
        print(f"  cross-validating the recipe, {recipe.folds} stratified folds, {shuffling + 1} of {recipe.shufflings}")
        split = StratifiedKFold(recipe.folds, shuffle=True, random_state=recipe.seed * recipe.shufflings + shuffling)
        folded.append(cross_val_predict(model(recipe), exams.features, exams.truths, cv=split, method="predict_proba"))
    return scores(np.tile(exams.truths, recipe.shufflings), np.concatenate(folded))


def compiled(fitted: Pipeline) -> bytes:
    """One graph: `features` to `probabilities` of the three classes."""
    vote = fitted.named_steps["vote"]
    wide = to_graph(vote, vote.estimators_, differences().shape[1], options={"zipmap": False})
    graph = Extractor(wide).extract_model(["features"], ["probabilities"])
    _widen(graph.graph)
    return to_bytes(graph)


def _widen(graph: onnx.GraphProto) -> None:
    """Let the graph take the features alone and make their differences itself."""
    for node in graph.node:
        node.input[:] = ["wide" if name == "features" else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(differences(), "differences"))
    graph.node.insert(0, helper.make_node("MatMul", ["features", "differences"], ["wide"], name="widen"))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(features(Exam))]))


def train(recipe: Recipe | None = None, exams: Examples[np.int64] | None = None) -> PackedModel:
    """Cross-validate, fit, score on held-out exams, and pack."""
    recipe, exams = recipe or Recipe(), exams or read()
    (rows, labels), (unseen, truth) = exams.seen, exams.unseen

    print(f"fetal_health: {len(labels)} exams to learn from, {len(truth)} held out, seed {recipe.seed}")
    cross_validation = cross_validate(recipe, exams)
    print("  fitting the model and its baselines")
    fitted = model(recipe).fit(rows, labels)
    probabilities = np.asarray(fitted.predict_proba(unseen))
    held_out_scores = scores(truth, probabilities)
    by_baseline = {
        name: scores(truth, np.asarray(baseline.fit(rows, labels).predict_proba(unseen)))
        for name, baseline in baselines().items()
    }
    _summary(held_out_scores, by_baseline, cross_validation)

    best = max(by_baseline, key=lambda name: float(by_baseline[name]["macro_f1"]))
    predicted = dict(zip(STATUSES, probabilities.T, strict=True))
    return pack(
        Candidate(
            name=NAME,
            about="Classifies cardiotocograms as normal, suspect or pathological",
            seed=recipe.seed,
            data=exams.described(),
            parameters=asdict(recipe),
            libraries=("scikit-learn", "skl2onnx", "onnx", "numpy"),
            module="bentoml.sklearn",
            native=lambda folder: joblib.dump(fitted, folder / "saved_model.pkl"),
            compiled=compiled(fitted),
            contract=CONTRACT,
            reference=reference(dict(zip(features(Exam), rows.T, strict=True)), predicted),
            headline=Headline(
                metric="macro_f1",
                value=held_out_scores["macro_f1"],
                baseline=best,
                baseline_value=by_baseline[best]["macro_f1"],
                higher_is_better=True,
            ),
            held_out=HeldOut(
                rows=unseen,
                native_outputs=probabilities,
                score=lambda outputs: float(scores(truth, outputs)["macro_f1"]),
            ),
            scores=held_out_scores,
            baselines=by_baseline,
            cross_validation=cross_validation,
            labels={"task": "classification", "framework": "scikit-learn"},
        )
    )


def _summary(held_out: dict[str, Any], by_baseline: dict[str, dict[str, Any]], folded: dict[str, Any]) -> None:
    lines = {"this model": held_out, **by_baseline, "this recipe, cross-validated": folded}
    print()
    print(table("on held-out exams", ["macro_f1", "log_loss", "calibration_error"], lines))
    print()
    print(table("by class", ["precision", "recall", "f1", "exams"], held_out["classes"]))
    print()
    print("Held-out exams by true class (line) and predicted class (column):")
    for status, counts in zip(STATUSES, held_out["confusion"], strict=True):
        print(f"  {status:<14}" + "".join(f"{count:>6}" for count in counts))


def pictures(packed: PackedModel) -> dict[str, "Figure"]:
    """What is drawn of a model where its runs are compared."""
    from marmita.training import figures

    return {"confusion": figures.confusion(packed)}


def main() -> None:
    def run(seed: int, labels: bool) -> PackedModel:
        return train(Recipe(seed=seed), read_with_labels() if labels else read())

    from_rows(NAME, __doc__, run, pictures)


if __name__ == "__main__":
    main()
