"""The training of a regressor with scikit-learn: a value with a conformal interval, scored beside baselines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from skl2onnx.common.data_types import FloatTensorType
from sklearn.model_selection import KFold

from marmita.contract.rows import features
from marmita.registry.card import Card
from marmita.registry.packed_model import PackedModel
from marmita.runtime.tables import Regressor
from marmita.training.conformal import COVERAGE, ConformalInterval, conformal
from marmita.training.conversion import to_bytes, to_graph
from marmita.training.examples import Doubles, Mask
from marmita.training.report import ScoreLine
from marmita.training.scoring import interval_scores, value_scores
from marmita.training.table import TableTraining

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class WithInterval:
    """A fitted estimator and its interval."""

    estimator: Any
    interval: ConformalInterval


class RegressorTraining(TableTraining[np.float64]):
    """The training of one regressor."""

    metric = "mae"
    task = "regression"
    shown = ("mae", "rmse", "r2")
    folds = {"folds": 5, "residual_folds": 10}  # noqa: RUF012

    def predict(self, fitted: Any, rows: npt.NDArray[Any]) -> Doubles:
        return np.asarray(fitted.predict(rows), dtype=np.float64)

    def native(self, fitted: WithInterval) -> Any:
        return fitted.estimator

    def outputs(self, fitted: WithInterval, rows: npt.NDArray[Any]) -> Doubles:
        return fitted.interval.around(self.predict(fitted.estimator, rows))

    def scores(self, truths: Doubles, predicted: Doubles) -> dict[str, Any]:
        return value_scores(truths, predicted)

    def convert(self, fitted: WithInterval) -> bytes:
        target = self.runner.target
        graph = to_graph(
            fitted.estimator,
            len(features(self.runner.row)),
            final_types=[(target, FloatTensorType([None, 1]))],
        )
        fitted.interval.add_to(graph.graph, target)
        return to_bytes(graph)

    def valid(self, truths: Doubles) -> Mask:
        runner: type[Regressor] = self.runner  # type: ignore[assignment]
        within: Mask = (truths >= runner.low) & (truths <= runner.high)
        return within

    def pictures(self, packed: PackedModel) -> dict[str, "Figure"]:
        from marmita.training import figures

        return {"values": figures.values(packed, *self.read().unseen)}

    def score_lines(self, card: Card) -> list[ScoreLine]:
        mine, folded, baselines = card.held_out, card.cross_validation, card.baselines
        best = card.headline.baseline
        others = [best, *(name for name in baselines if name != best)]
        beaten = ", ".join(f"{baselines[name]['mae']:.3f} {name}" for name in others)
        held_out = f"MAE, {card.data.rows_held_out} held-out rows"
        return [
            (card.model.replace("_", " "), held_out, f"**{mine['mae']:.3f}**", beaten),
            ("", "RMSE", f"{mine['rmse']:.3f}", f"{baselines[best]['rmse']:.3f}"),
            ("", "R²", f"{mine['r2']:.3f}", f"{baselines[best]['r2']:.3f}"),
            ("", "MAE and R², cross-validated", f"{folded['mae']:.3f} and {folded['r2']:.3f}", ""),
            ("", f"rows inside the {COVERAGE:.0%} interval", f"{mine['interval_coverage']:.3f}", ""),
        ]

    def _fit(
        self, recipe: Mapping[str, Any], rows: npt.NDArray[Any], truths: Doubles, folds: Mapping[str, int]
    ) -> WithInterval:
        print(f"  fitting the interval on out-of-fold residuals, {folds['residual_folds']} folds")
        split = KFold(folds["residual_folds"], shuffle=True, random_state=int(recipe["seed"]))
        interval = conformal(truths - self._fold(recipe, rows, truths, split))
        return WithInterval(super()._fit(recipe, rows, truths, folds), interval)

    def _predictions(self, outputs: Doubles) -> Doubles:
        return outputs[:, 0]

    def _more_scores(self, truths: Doubles, outputs: Doubles) -> dict[str, Any]:
        return interval_scores(truths, outputs)

    def _splits(self, folds: Mapping[str, int], seed: int) -> list[Any]:
        return [KFold(folds["folds"], shuffle=True, random_state=seed)]

    @property
    def _method(self) -> str:
        return "predict"

    @property
    def _higher_is_better(self) -> bool:
        return self.metric_name == "r2"

    def _reference(self, rows: npt.NDArray[Any], outputs: Doubles) -> dict[str, Any]:
        return self._statistics(rows, {self.runner.target: outputs[:, 0]}, coverage=COVERAGE)

    def _summarize(
        self, held_out: dict[str, Any], by_baseline: Mapping[str, dict[str, Any]], folded: dict[str, Any]
    ) -> None:
        super()._summarize(held_out, by_baseline, folded)
        print(
            f"The {COVERAGE:.0%} interval holds {held_out['interval_coverage']:.1%} of the held-out rows; "
            f"it is {held_out['interval_width']:.2f} wide."
        )
