"""Scores of forecast paths, their baselines (persistence and a random walk), and what the scores mean."""

from typing import Any

import numpy as np

from marmita.registry.card import Card
from marmita.training.examples import Doubles
from marmita.training.report import ScoreLine, table
from training.stock_forecast.windows import COVERAGE, QUANTILES, Samples, moves, volatility

PERSISTENCE = "persistence"
RANDOM_WALK = "random walk"
TOLERANCE = 0.01
"""How much worse than the best baseline a forecaster may be: daily closes leave little to gain over a random walk."""
MAX_WORSE = 1.01
"""The largest allowed ratio of the error to persistence's, on any day of the path."""
COVERAGE_BOUNDS = (0.85, 0.95)


def persistence(calibration: Samples, samples: Samples) -> Doubles:
    """Return forecasts of no change, with the interval of the calibration years' returns, in the model's layout."""
    returns = np.log(calibration.future / calibration.last)
    low, high = (np.quantile(returns, quantile, axis=0) for quantile in (QUANTILES[0], QUANTILES[-1]))
    still = np.repeat(samples.last, samples.future.shape[1], axis=1)
    return np.hstack([still, samples.last * np.exp(low), samples.last * np.exp(high)])


def random_walk(calibration: Samples, samples: Samples) -> Doubles:
    """Return forecasts of no change, with an interval from the window's volatility: the forecaster without its network.

    The layout is the model's.
    """
    reach = np.quantile(np.abs(moves(calibration)), COVERAGE, axis=0)
    days = np.arange(1, samples.future.shape[1] + 1)
    half = volatility(samples.closes) * np.sqrt(days) * reach
    still = np.repeat(samples.last, len(days), axis=1)
    return np.hstack([still, samples.last * np.exp(-half), samples.last * np.exp(half)])


def pinball(outputs: Doubles, samples: Samples) -> float:
    """Return the mean quantile loss of the path with its interval, in percent of the last close. Lower is better."""
    close, low, high = np.split(outputs, 3, axis=1)
    errors = [(samples.future - edge) / samples.last * 100 for edge in (low, close, high)]
    losses = [np.maximum(q * error, (q - 1) * error).mean() for q, error in zip(QUANTILES, errors, strict=True)]
    return float(np.mean(losses))


def by_day(outputs: Doubles, samples: Samples, daily_change: float) -> list[dict[str, float]]:
    """Return the scores of each day of the path."""
    close, low, high = np.split(outputs, 3, axis=1)
    days = []
    for day in range(samples.future.shape[1]):
        truth, last = samples.future[:, day], samples.last[:, 0]
        mae = float(np.abs(close[:, day] - truth).mean())
        moved = truth != last
        right = (close[:, day] > last)[moved] == (truth > last)[moved]
        days.append(
            {
                "day": day + 1,
                "mae": mae,
                "mae_ratio": mae / float(np.abs(last - truth).mean()),
                "mase": mae / daily_change,
                "coverage": float(((low[:, day] <= truth) & (truth <= high[:, day])).mean()),
                "width": float(((high - low)[:, day] / last).mean()),
                "direction": float(right.mean()),
                "rises": float((truth > last)[moved].mean()),
            }
        )
    return days


def flaw(days: list[dict[str, float]]) -> str | None:
    """Return the reason to reject a model whatever its score, if there is one."""
    worst = max(days, key=lambda day: day["mae_ratio"])
    if worst["mae_ratio"] > MAX_WORSE:
        return f"its error on day {worst['day']} is {worst['mae_ratio'] - 1:.1%} larger than persistence's"
    for day in days:
        if not COVERAGE_BOUNDS[0] <= day["coverage"] <= COVERAGE_BOUNDS[1]:
            return f"its interval of day {day['day']} holds {day['coverage']:.1%} of the closes, not {COVERAGE:.0%}"
    return None


def scores(outputs: Doubles, samples: Samples, daily_change: float) -> dict[str, Any]:
    return {"pinball_percent": pinball(outputs, samples), "days": by_day(outputs, samples, daily_change)}


def plainly(mine: dict[str, Any], walk: dict[str, Any]) -> str:
    path = float(np.mean([day["mae_ratio"] for day in mine["days"]])) - 1
    loss = mine["pinball_percent"] / walk["pinball_percent"] - 1
    found = "better at it" if path < -TOLERANCE else "no better at saying where the price goes"
    adds = "knows better how uncertain the days are" if loss < -TOLERANCE else "adds nothing to it"
    return (
        f"Over the ten days the path's error is {_change(path)} that of assuming that nothing changes: it is {found}. "
        f"Its loss, interval included, is {_change(loss)} that of a random walk with the window's own volatility: "
        f"the network {adds}."
    )


def _change(share: float) -> str:
    return f"{abs(share):.1%} {'smaller' if share < 0 else 'larger'} than"


def show(mine: dict[str, Any], baselines: dict[str, dict[str, Any]], verdict: str) -> None:
    columns = ["mae", "mae_ratio", "mase", "coverage", "width", "direction", "rises"]
    lines: dict[str, dict[str, Any]] = {f"day {day['day']}": day for day in mine["days"]}
    for name, scores in baselines.items():
        lines |= {f"{name}, day {day['day']}": day for day in (scores["days"][0], scores["days"][-1])}
    print()
    print(table("on unseen years", columns, lines))
    print()
    print(table("of the whole path", ["pinball_percent"], {"this model": mine, **baselines}))
    print()
    print(verdict)


def score_lines(card: Card) -> list[ScoreLine]:
    """Return the forecaster's rows of the table in docs/models.md."""
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
