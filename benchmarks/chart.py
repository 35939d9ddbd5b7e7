"""The chart of the results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from benchmarks.results import Measurement, Results
from benchmarks.workloads import MANY_WINES, WINES_TOGETHER, Workload

INK, ACCENT, SOFT = "#1d2433", "#c8553d", "#9aa3b2"
FAR_APART = 20
"""The ratio of the largest to the smallest figure above which the scale is logarithmic."""


def draw(results: Results, path: Path) -> None:
    """Draw two panels: CPU time of one wine, and rows per CPU second of many. Equal results give equal files."""
    panels = [
        (WINES_TOGETHER, "cpu_ms_per_request", "one wine, 32 clients: CPU ms a request, less is better"),
        (MANY_WINES, "rows_per_cpu_second", "1,000 wines a request: rows per CPU second, more is better"),
    ]
    style: Any = {"svg.hashsalt": "marmita", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(style):
        most = max(len(_of(results.measurements, workload)) for workload, _, _ in panels)
        figure, axes = plt.subplots(1, 2, figsize=(13, 1.4 + 0.26 * max(most, 1)), constrained_layout=True)
        for axis, (workload, name, title) in zip(axes, panels, strict=True):
            _panel(axis, _of(results.measurements, workload), name, title)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _of(measurements: Sequence[Measurement], workload: Workload) -> list[Measurement]:
    return [one for one in measurements if one.workload == workload.name and one.rounds]


def _panel(axis: Axes, measurements: list[Measurement], name: str, title: str) -> None:
    best_last = sorted(measurements, key=lambda one: one.spread["cpu_ms_per_request"].median, reverse=True)
    labels = [f"{one.contender}, {one.route}" for one in best_last]
    spreads = [one.spread[name] for one in best_last]
    middles = [spread.median for spread in spreads]
    ends = [
        [spread.median - spread.least for spread in spreads],
        [spread.most - spread.median for spread in spreads],
    ]
    colors = [ACCENT if one.contender.startswith("marmita") else SOFT for one in best_last]
    axis.barh(labels, middles, xerr=ends, color=colors, error_kw={"ecolor": INK, "elinewidth": 0.8})
    for place, spread in enumerate(spreads):
        axis.annotate(
            _short(spread.median), (spread.most, place), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.set_title(title, fontsize=9.5, loc="left", color=INK)
    axis.spines[["top", "right"]].set_visible(False)
    if middles and max(middles) > FAR_APART * min(middles):
        axis.set_xscale("log")
        axis.set_xlim(min(middles) / 2, max(spread.most for spread in spreads) * 3)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    elif middles:
        axis.set_xlim(0, max(spread.most for spread in spreads) * 1.15)


def _short(value: float) -> str:
    """Format a figure with at least three digits and without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
