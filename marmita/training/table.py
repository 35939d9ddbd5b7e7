"""The training of a table model: the steps that classifiers and regressors have in common."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import cross_val_predict

from marmita.contract.rows import features
from marmita.registry.card import Card, Headline
from marmita.registry.packed_model import PackedModel
from marmita.runtime.runner import model_name
from marmita.runtime.tables import TableRunner
from marmita.training.conversion import in_single_precision
from marmita.training.examples import SEED, Doubles, Examples, Mask, Truth
from marmita.training.labelled import with_labels
from marmita.training.packing import Candidate, HeldOut, pack
from marmita.training.reference import reference
from marmita.training.report import ScoreLine, table
from marmita.training.run import from_rows
from marmita.training.scoring import make_headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TableTraining(ABC, Generic[Truth]):
    """The training of one table model.

    `read` returns the examples, `model` an unfitted estimator with the given parameters, and `baselines` the estimators
    that it must beat.
    """

    metric: ClassVar[str]
    task: ClassVar[str]
    shown: ClassVar[Sequence[str]]
    """The scores that are printed."""
    folds: ClassVar[Mapping[str, int]]
    """The parameters of the cross-validation by their names, with their defaults."""

    def __init__(
        self,
        service: Any,
        read: Callable[[], Examples[Truth]],
        model: Callable[..., Any],
        baselines: Callable[[], Mapping[str, Any]],
        *,
        metric: str = "",
    ) -> None:
        runner: type[TableRunner] = service.inner
        self.runner = runner
        self.name = model_name(runner)
        self.read: Callable[[], Examples[Truth]] = read
        self.metric_name = metric or self.metric
        self._model = model
        self._baselines = baselines

    def train(
        self, examples: Examples[Truth] | None = None, /, *, seed: int = SEED, **parameters: int | float
    ) -> PackedModel:
        """Cross-validate, fit, score on held-out rows, and pack. Parameters are the model's and the folds'."""
        examples = examples or self.read()
        (rows, truths), (unseen, unseen_truths) = examples.seen, examples.unseen
        self.check(truths)
        folds = {name: int(parameters.pop(name, count)) for name, count in self.folds.items()}
        recipe = _defaults(self._model) | parameters | {"seed": seed}

        print(f"{self.name}: {len(truths)} rows to learn from, {len(unseen_truths)} held out, seed {seed}")
        cross_validation = self._cross_validate(recipe, examples, folds)
        fitted = self._fit(recipe, rows, truths, folds)
        print("  fitting the baselines")
        outputs = self.outputs(fitted, unseen)
        by_baseline = {
            name: self.scores(unseen_truths, self.predict(baseline.fit(rows, truths), unseen))
            for name, baseline in self._baselines().items()
        }
        held_out = self.scores(unseen_truths, self._predictions(outputs)) | self._more_scores(unseen_truths, outputs)
        self._summarize(held_out, by_baseline, cross_validation)
        headline = self._headline(held_out, by_baseline)
        return pack(
            Candidate(
                name=self.name,
                about=(inspect.getdoc(self.runner) or self.name).partition("\n")[0],
                seed=seed,
                data=examples.described(),
                parameters=recipe | folds,
                libraries=("scikit-learn", "skl2onnx", "onnx", "numpy"),
                module="bentoml.sklearn",
                native=lambda folder: joblib.dump(self.native(fitted), folder / "saved_model.pkl"),
                compiled=self.convert(fitted),
                contract=dict(self.runner.contract),
                reference=self._reference(rows, outputs),
                headline=headline,
                held_out=HeldOut(
                    rows=unseen,
                    native_outputs=outputs,
                    score=lambda others: self.scores(unseen_truths, self._predictions(others))[self.metric_name],
                ),
                scores=held_out,
                baselines=by_baseline,
                cross_validation=cross_validation,
                labels={"task": self.task, "framework": "scikit-learn"},
            )
        )

    def read_with_labels(self) -> Examples[Truth]:
        """Return the reference rows and the labelled rows of the records."""
        return with_labels(self.read(), self.runner.evaluator, self.runner.contract, self.valid)

    def main(self) -> None:
        """Run the script `python -m training.<model>`."""

        def run(seed: int, labels: bool) -> PackedModel:
            return self.train(self.read_with_labels() if labels else self.read(), seed=seed)

        from_rows(self.name, inspect.getdoc(self.runner), run, self.pictures)

    def check(self, truths: npt.NDArray[Truth]) -> None:
        """Raise `CannotTrainError` unless a model can be trained on rows with these labels."""

    @abstractmethod
    def predict(self, fitted: Any, rows: npt.NDArray[Any]) -> Doubles:
        """Return the predictions of a fitted estimator."""

    @abstractmethod
    def scores(self, truths: npt.NDArray[Truth], predicted: Doubles) -> dict[str, Any]:
        """Score predictions."""

    @abstractmethod
    def convert(self, fitted: Any) -> bytes:
        """Return the ONNX graph of the fitted model, with the same outputs as the method `outputs`."""

    @abstractmethod
    def valid(self, truths: Doubles) -> Mask:
        """Return the mask of the labels that are possible."""

    @abstractmethod
    def pictures(self, packed: PackedModel) -> dict[str, "Figure"]:
        """Draw the plots of a model, by name."""

    @abstractmethod
    def score_lines(self, card: Card) -> list[ScoreLine]:
        """Return the model's rows of the table in docs/models.md."""

    @abstractmethod
    def _splits(self, folds: Mapping[str, int], seed: int) -> list[Any]:
        """Return the cross-validation splitters, one for each shuffling."""

    @property
    @abstractmethod
    def _method(self) -> str:
        """The estimator's method that predicts."""

    @property
    @abstractmethod
    def _higher_is_better(self) -> bool: ...

    @abstractmethod
    def _reference(self, rows: npt.NDArray[Any], outputs: Doubles) -> dict[str, Any]: ...

    def native(self, fitted: Any) -> Any:
        """Return the native model to pack."""
        return fitted

    def outputs(self, fitted: Any, rows: npt.NDArray[Any]) -> Doubles:
        """Return the packed model's outputs for rows."""
        return self.predict(fitted, rows)

    def _predictions(self, outputs: Doubles) -> Doubles:
        """Return the predictions among the outputs."""
        return outputs

    def _more_scores(self, truths: npt.NDArray[Truth], outputs: Doubles) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def _fit(
        self,
        recipe: Mapping[str, Any],
        rows: npt.NDArray[Any],
        truths: npt.NDArray[Truth],
        folds: Mapping[str, int],  # noqa: ARG002
    ) -> Any:
        print("  fitting the model")
        return in_single_precision(self._model(**recipe).fit(rows, truths))

    def _cross_validate(
        self, recipe: Mapping[str, Any], examples: Examples[Truth], folds: Mapping[str, int]
    ) -> dict[str, Any]:
        """Score the recipe on every example, each predicted by a model that has not seen it."""
        splits = self._splits(folds, int(recipe["seed"]))
        print(f"  cross-validating the recipe, {folds['folds']} folds, {len(splits)} times")
        folded = [self._fold(recipe, examples.features, examples.truths, split) for split in splits]
        return self.scores(np.tile(examples.truths, len(splits)), np.concatenate(folded))

    def _fold(
        self, recipe: Mapping[str, Any], rows: npt.NDArray[Any], truths: npt.NDArray[Truth], split: Any
    ) -> Doubles:
        predicted = cross_val_predict(self._model(**recipe), rows, truths, cv=split, method=self._method)
        return np.asarray(predicted, dtype=np.float64)

    def _headline(self, held_out: Mapping[str, Any], by_baseline: Mapping[str, Mapping[str, Any]]) -> Headline:
        return make_headline(self.metric_name, held_out, by_baseline, higher_is_better=self._higher_is_better)

    def _statistics(self, rows: npt.NDArray[Any], predictions: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        return reference(dict(zip(features(self.runner.row), rows.T, strict=True)), predictions, **more)

    def _summarize(
        self, held_out: dict[str, Any], by_baseline: Mapping[str, dict[str, Any]], folded: dict[str, Any]
    ) -> None:
        lines = {"this model": held_out, **by_baseline, "this recipe, cross-validated": folded}
        print()
        print(table("on held-out rows", self.shown, lines))


def _defaults(model: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters of a model's function with their defaults."""
    return {name: one.default for name, one in inspect.signature(model).parameters.items()}
