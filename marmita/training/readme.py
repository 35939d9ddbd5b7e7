"""Write the README's scores and pictures from the champions in the store."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from bentos.stock_forecast.contract import HORIZON, WINDOW
from marmita.registry.card import Card
from marmita.registry.champions import champion
from marmita.registry.packed_model import PackedModel
from marmita.training import figures
from training.__main__ import MODELS
from training.stock_forecast import prices, train
from training.stock_forecast.windows import Recipe, windows

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- scores: written by `make readme` -->\n", "<!-- end of scores -->\n"
EXAMPLES = (60, 210, 390)
"""Windows of the unseen years: two whose interval holds, and one whose does not."""


def _save(figure: Figure, name: str) -> Path:
    path = ROOT / "docs" / name
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def scores(cards: Mapping[str, Card]) -> str:
    """The table of scores, and in a sentence what the forecaster is worth."""
    lines = [*_fetal_health(cards["fetal_health"]), *_wine_quality(cards["wine_quality"])]
    lines += _stock_forecast(cards["stock_forecast"])
    head = "| model | score | this model | baseline |\n|---|---|---|---|\n"
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{head}{table}\n{cards['stock_forecast'].held_out['plainly']}\n"


def _fetal_health(card: Card) -> list[tuple[str, ...]]:
    mine, folded, logistic = card.held_out, card.cross_validation, card.baselines["logistic regression"]
    majority = card.baselines["majority class"]
    where = f"{card.data.rows_held_out} held-out exams"
    return [
        (
            "fetal health",
            f"macro-F1, {where}",
            f"**{mine['macro_f1']:.3f}**",
            f"{logistic['macro_f1']:.3f} logistic regression, {majority['macro_f1']:.3f} majority class",
        ),
        ("", "macro-F1, cross-validated", f"{folded['macro_f1']:.3f}", ""),
        *(
            ("", f"recall of {status} exams", f"{c['recall']:.3f}", f"{logistic['classes'][status]['recall']:.3f}")
            for status, c in mine["classes"].items()
        ),
        ("", "log loss", f"{mine['log_loss']:.3f}", f"{logistic['log_loss']:.3f}"),
        (
            "",
            "expected calibration error",
            f"{mine['calibration_error']:.3f}",
            f"{logistic['calibration_error']:.3f}",
        ),
    ]


def _wine_quality(card: Card) -> list[tuple[str, ...]]:
    mine, folded = card.held_out, card.cross_validation
    ridge, mean = card.baselines["ridge regression"], card.baselines["mean"]
    where = f"{card.data.rows_held_out} held-out wines"
    return [
        (
            "wine quality",
            f"MAE, {where}",
            f"**{mine['mae']:.3f}**",
            f"{ridge['mae']:.3f} ridge regression, {mean['mae']:.3f} mean",
        ),
        ("", "RMSE", f"{mine['rmse']:.3f}", f"{ridge['rmse']:.3f}"),
        ("", "R²", f"{mine['r2']:.3f}", f"{ridge['r2']:.3f}"),
        ("", "MAE and R², cross-validated", f"{folded['mae']:.3f} and {folded['r2']:.3f}", ""),
        ("", "wines inside the 90 % interval", f"{mine['interval_coverage']:.3f}", ""),
    ]


def _stock_forecast(card: Card) -> list[tuple[str, ...]]:
    days, still, walk = card.held_out["days"], card.baselines["persistence"], card.baselines["random walk"]
    first, last = days[0], days[-1]
    return [
        (
            "stock forecast",
            f"quantile loss of the path, % of the close, {card.data.rows_held_out} unseen windows (overlapping)",
            f"**{card.held_out['pinball_percent']:.3f}**",
            f"{walk['pinball_percent']:.3f} random walk, {still['pinball_percent']:.3f} persistence",
        ),
        ("", "MASE, first and tenth day", f"{first['mase']:.3f} and {last['mase']:.3f}", _mases(still["days"])),
        ("", "closes inside the 90 % interval, by day", _range(days), f"{_range(walk['days'])} random walk"),
        (
            "",
            "direction right, mean of the days",
            f"{np.mean([day['direction'] for day in days]):.3f}",
            f"{np.mean([day['rises'] for day in days]):.3f} always up",
        ),
    ]


def _range(days: list[dict[str, float]]) -> str:
    coverages = [day["coverage"] for day in days]
    return f"{min(coverages):.3f} to {max(coverages):.3f}"


def _mases(days: list[dict[str, float]]) -> str:
    return f"{days[0]['mase']:.3f} and {days[-1]['mase']:.3f} persistence"


def main() -> None:
    argparse.ArgumentParser(prog="python -m training.readme", description=__doc__).parse_args()
    models: dict[str, PackedModel] = {}
    for name in MODELS:
        model = champion(name)
        if model is None:
            raise SystemExit(f"error: there is no champion of {name}: make one with `python -m training.{name}`")
        models[name] = model
    unseen = windows(train.split(prices.read()).unseen, Recipe(window=WINDOW, horizon=HORIZON))
    print(_save(figures.forecast(models["stock_forecast"], unseen, EXAMPLES), "forecast.png"))
    print(_save(figures.confusion(models["fetal_health"]), "confusion.png"))
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(before + BEGIN + scores({name: model.card for name, model in models.items()}) + END + after)
    print(readme)


if __name__ == "__main__":
    main()
