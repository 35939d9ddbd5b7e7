"""What `marmita.pack` returns: the packed model, which a notebook shows as a table."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from marmita.contract.rows import Floats
from marmita.registry.card import Card, distinct_figures
from marmita.registry.packed_model import PackedModel
from marmita.training import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 30
"""The most columns that are shown."""
MOST_CATEGORIES = 5


@dataclass(frozen=True)
class PackedTable:
    """A packed model with the held-out rows that it was scored on."""

    packed: PackedModel
    rows: Floats = field(repr=False)
    truths: npt.NDArray[Any] = field(repr=False)

    @property
    def tag(self) -> str:
        return self.packed.tag

    @property
    def card(self) -> Card:
        return self.packed.card

    @property
    def contract(self) -> dict[str, Any]:
        return self.packed.contract

    @property
    def promoted(self) -> bool:
        """Whether it became the champion, which services serve."""
        return self.card.verdict.promoted

    def __repr__(self) -> str:
        headline = self.card.headline
        outcome = "promoted" if self.promoted else "not promoted"
        return f"<PackedTable {self.tag}, {headline.metric} {headline.value:.4f}, {outcome}>"

    def _repr_html_(self) -> str:
        card, data = self.card, self.card.data
        outcome = "promoted" if self.promoted else "not promoted"
        rows = f"{data.rows} rows to learn from, {data.rows_held_out} held out"
        same = f"differs from the estimator by {card.compiled_difference:.1e} at most, on {card.compiled_rows} rows"
        return "".join(
            [
                f"<h4>{escape(self.tag)}: {outcome}</h4>",
                f"<p>{escape(card.verdict.reason)}.</p>",
                _html_table(["on held-out rows", card.headline.metric], self._scores()),
                f"<p>{rows}. The compiled model {same}.</p>",
                _html_table(["column", "kind", "seen", "gaps"], self._columns()),
                f'<img alt="{self._about_picture}" src="data:image/png;base64,{self._picture()}">',
            ]
        )

    def _scores(self) -> list[list[str]]:
        metric = self.card.headline.metric
        scores = {"this model": self.card.held_out, **self.card.baselines}
        figures = distinct_figures(*(float(each[metric]) for each in scores.values()))
        return [[name, figure] for name, figure in zip(scores, figures, strict=True)]

    def _columns(self) -> list[list[str]]:
        features = self.contract["features"]
        shown = [[each["name"], each["kind"], _seen(each), _gaps(each)] for each in features[:MOST_COLUMNS]]
        more = len(features) - len(shown)
        return [*shown, [f"and {more} more", "", "", ""]] if more else shown

    @property
    def _about_picture(self) -> str:
        return "confusion matrix" if "classes" in self.contract else "predicted against true values"

    def _picture(self) -> str:
        content = io.BytesIO()
        self._figure().savefig(content, format="png", dpi=90)
        return base64.b64encode(content.getvalue()).decode()

    def _figure(self) -> "Figure":
        if "classes" in self.contract:
            return figures.confusion(self.packed, self.contract["classes"])
        return figures.values(self.packed, self.rows, self.truths)


def _seen(feature: dict[str, Any]) -> str:
    if "categories" in feature:
        words = feature["categories"]
        more = f" and {len(words) - MOST_CATEGORIES} more" if len(words) > MOST_CATEGORIES else ""
        return ", ".join(words[:MOST_CATEGORIES]) + more
    low, high = feature.get("seen") or ("", "")
    return f"{low:.6g} to {high:.6g}" if feature.get("seen") else ""


def _gaps(feature: dict[str, Any]) -> str:
    share = f"{feature['missing']:.0%} of the training" if feature["missing"] else "none in training"
    return f"{share}, {'accepted' if feature['gaps'] else 'refused'}"


def _html_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"
