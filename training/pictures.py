"""Draw the README's pictures from the champions in the store and the data that they have not seen."""

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from bentos.fetal_health.contract import STATUSES  # noqa: E402
from bentos.stock_forecast.contract import HORIZON, WINDOW  # noqa: E402
from marmita.store import Packed, champion  # noqa: E402
from training import prices, stock_forecast  # noqa: E402
from training.windows import Recipe, windows  # noqa: E402

FOLDER = Path(__file__).parent.parent / "docs"
INK, ACCENT, SOFT = "#1d2433", "#c8553d", "#f2c9bd"
EXAMPLES = (60, 210, 390)
"""Windows of the unseen years: calm, rising, falling."""


def forecast(model: Packed) -> Path:
    """Three paths with their intervals, and what came."""
    recipe = Recipe(window=WINDOW, horizon=HORIZON)
    unseen = windows(stock_forecast.split(prices.read()).unseen, recipe)
    outputs = model.compiled()(unseen.closes.astype(np.float32))
    figure, axes = plt.subplots(1, len(EXAMPLES), figsize=(11, 3.2), constrained_layout=True)
    for axis, example in zip(axes, EXAMPLES, strict=True):
        close, low, high = np.split(outputs[example], 3)
        past, ahead = np.arange(-29, 1), np.arange(1, HORIZON + 1)
        axis.plot(past, unseen.closes[example, -30:], color=INK, linewidth=1.2)
        axis.fill_between(ahead, low, high, color=SOFT, label="90 % interval")
        axis.plot(ahead, close, color=ACCENT, label="forecast")
        axis.plot(ahead, unseen.future[example], "o", color=INK, markersize=3, label="what came")
        axis.set_xlabel("trading days")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("adjusted close, $")
    axes[0].legend(frameon=False, fontsize=8, loc="best")
    return _save(figure, "forecast.png")


def confusion(model: Packed) -> Path:
    """Which held-out exams were taken for which."""
    counts = np.array(model.card.held_out["confusion"])
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure, axis = plt.subplots(figsize=(4.6, 3.8), constrained_layout=True)
    axis.imshow(shares, cmap="Reds", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.6 else INK
        axis.text(column, row, f"{count}\n{shares[row, column]:.0%}", ha="center", va="center", color=color)
    axis.set_xticks(range(len(STATUSES)), STATUSES)
    axis.set_yticks(range(len(STATUSES)), STATUSES)
    axis.set_xlabel("said")
    axis.set_ylabel("true")
    return _save(figure, "confusion.png")


def _save(figure: plt.Figure, name: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / name, dpi=110)
    plt.close(figure)
    return FOLDER / name


def main() -> None:
    argparse.ArgumentParser(prog="python -m training.pictures", description=__doc__).parse_args()
    for name, draw in {"stock_forecast": forecast, "fetal_health": confusion}.items():
        model = champion(name)
        if model is None:
            raise SystemExit(f"error: there is no champion of {name}: make one with `python -m training.{name}`")
        print(draw(model))


if __name__ == "__main__":
    main()
