"""The training of a classifier with scikit-learn: class probabilities, scored beside baselines."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from onnx.utils import Extractor
from sklearn.model_selection import StratifiedKFold

from marmita.contract.rows import features
from marmita.registry.card import Card
from marmita.registry.packed_model import PackedModel
from marmita.runtime.tables import Classifier
from marmita.training.conversion import to_bytes, to_graph
from marmita.training.examples import CannotTrainError, Doubles, Examples, Mask
from marmita.training.report import ScoreLine, table
from marmita.training.scoring import Labels, class_scores
from marmita.training.table import TableTraining

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ClassifierTraining(TableTraining[np.int64]):
    """The training of one classifier. Truths are indices of the service's `classes`."""

    metric = "macro_f1"
    task = "classification"
    shown = ("macro_f1", "log_loss", "calibration_error")
    folds = {"folds": 5, "shufflings": 3}  # noqa: RUF012

    def __init__(
        self,
        service: Any,
        read: Callable[[], Examples[np.int64]],
        model: Callable[..., Any],
        baselines: Callable[[], Mapping[str, Any]],
        *,
        metric: str = "",
        convert: Callable[[Any], bytes] | None = None,
    ) -> None:
        super().__init__(service, read, model, baselines, metric=metric)
        runner: type[Classifier] = service.inner
        self.classes = tuple(runner.classes)
        self._convert = convert

    def check(self, truths: Labels) -> None:
        """Raise `CannotTrainError` if a class has no training row: a model could not predict it."""
        missing = [name for place, name in enumerate(self.classes) if place not in truths]
        if missing:
            raise CannotTrainError(
                f"{self.name} has no row to learn from of the class {', '.join(missing)}: "
                f"the data set has none, or all of them are held out. Add rows of it, or take it out of the classes"
            )

    def predict(self, fitted: Any, rows: npt.NDArray[Any]) -> Doubles:
        return np.asarray(fitted.predict_proba(rows), dtype=np.float64)

    def scores(self, truths: Labels, predicted: Doubles) -> dict[str, Any]:
        return class_scores(self.classes, truths, predicted)

    def convert(self, fitted: Any) -> bytes:
        if self._convert:
            return self._convert(fitted)
        graph = to_graph(fitted, len(features(self.runner.row)), options={"zipmap": False})
        return to_bytes(Extractor(graph).extract_model(["features"], ["probabilities"]))

    def valid(self, truths: Doubles) -> Mask:
        return np.isin(truths, range(len(self.classes)))

    def pictures(self, packed: PackedModel) -> dict[str, "Figure"]:
        from marmita.training import figures

        return {"confusion": figures.confusion(packed, self.classes)}

    def score_lines(self, card: Card) -> list[ScoreLine]:
        mine, folded, baselines = card.held_out, card.cross_validation, card.baselines
        best = card.headline.baseline
        others = [best, *(name for name in baselines if name != best)]
        beaten = ", ".join(f"{baselines[name]['macro_f1']:.3f} {name}" for name in others)
        held_out = f"macro-F1, {card.data.rows_held_out} held-out rows"
        lines = [
            (card.model.replace("_", " "), held_out, f"**{mine['macro_f1']:.3f}**", beaten),
            ("", "macro-F1, cross-validated", f"{folded['macro_f1']:.3f}", ""),
        ]
        recalls = baselines[best]["classes"]
        lines += [
            ("", f"recall of {name}", f"{each['recall']:.3f}", f"{recalls[name]['recall']:.3f}")
            for name, each in mine["classes"].items()
        ]
        shown = {"log_loss": "log loss", "calibration_error": "expected calibration error"}
        lines += [("", word, f"{mine[key]:.3f}", f"{baselines[best][key]:.3f}") for key, word in shown.items()]
        return lines

    def _splits(self, folds: Mapping[str, int], seed: int) -> list[Any]:
        """Return one split for each shuffling: a single one moves the score by half a point either way."""
        count = folds["shufflings"]
        return [StratifiedKFold(folds["folds"], shuffle=True, random_state=seed * count + one) for one in range(count)]

    @property
    def _method(self) -> str:
        return "predict_proba"

    @property
    def _higher_is_better(self) -> bool:
        return self.metric_name == "macro_f1"

    def _reference(self, rows: npt.NDArray[Any], outputs: Doubles) -> dict[str, Any]:
        return self._statistics(rows, dict(zip(self.classes, outputs.T, strict=True)))

    def _summarize(
        self, held_out: dict[str, Any], by_baseline: Mapping[str, dict[str, Any]], folded: dict[str, Any]
    ) -> None:
        super()._summarize(held_out, by_baseline, folded)
        print()
        print(table("by class", ["precision", "recall", "f1", "rows"], held_out["classes"]))
        print()
        print("Held-out rows by true class (line) and predicted class (column):")
        for name, counts in zip(self.classes, held_out["confusion"], strict=True):
            print(f"  {name:<14}" + "".join(f"{count:>6}" for count in counts))
