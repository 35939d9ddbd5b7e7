"""Train the stock forecaster: an LSTM from 60 daily closes to the next 10, each with a 90 % interval."""

import argparse
import sys
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bentos.stock_forecast.contract import CONTRACT, HORIZON, NAME, WINDOW
from marmita.card import Data, Headline
from marmita.store import Packed
from training import prices
from training.data import Doubles
from training.packing import Candidate, HeldOut, pack
from training.reference import reference
from training.report import table
from training.windows import COVERAGE, QUANTILES, Recipe, Samples, volatility, windows

TRAINING_SHARE = 0.68
CALIBRATION_SHARE = 0.155
BASELINE = "persistence"
MAX_WORSE = 1.01
"""How much larger than persistence's the error may be, on any day of the path."""
COVERAGE_BOUNDS = (0.85, 0.95)


@dataclass(frozen=True)
class Periods:
    """Three periods that follow one another and share no day."""

    fitting: Doubles
    calibration: Doubles
    unseen: Doubles


def split(closes: prices.Closes) -> Periods:
    """Learn from the oldest years, calibrate on the next, judge on the latest."""
    first = int(len(closes.values) * TRAINING_SHARE)
    second = int(len(closes.values) * (TRAINING_SHARE + CALIBRATION_SHARE))
    periods = Periods(*np.split(closes.values, [first, second]))
    shortest = min(len(periods.calibration), len(periods.unseen))
    if shortest < 2 * (WINDOW + HORIZON):
        raise prices.PricesError(
            f"{closes.source}: {len(closes.values)} closes are too few to learn from and to judge by; "
            f"take at least {int(2 * (WINDOW + HORIZON) / CALIBRATION_SHARE) + 1}"
        )
    return periods


def persistence(fitting: Samples, samples: Samples) -> Doubles:
    """Tomorrow equals today, within the interval that the training years' returns had: in the model's own layout."""
    returns = np.log(fitting.future / fitting.last)
    low, high = (np.quantile(returns, quantile, axis=0) for quantile in (QUANTILES[0], QUANTILES[-1]))
    still = np.repeat(samples.last, samples.future.shape[1], axis=1)
    return np.hstack([still, samples.last * np.exp(low), samples.last * np.exp(high)])


def pinball(outputs: Doubles, samples: Samples) -> float:
    """Mean quantile loss of the whole path, interval included, in percent of the last close. Lower is better."""
    close, low, high = np.split(outputs, 3, axis=1)
    errors = [(samples.future - edge) / samples.last * 100 for edge in (low, close, high)]
    losses = [np.maximum(q * error, (q - 1) * error).mean() for q, error in zip(QUANTILES, errors, strict=True)]
    return float(np.mean(losses))


def by_day(outputs: Doubles, samples: Samples, daily_change: float) -> list[dict[str, float]]:
    """Scores of each day of the path."""
    close, low, high = np.split(outputs, 3, axis=1)
    scores = []
    for day in range(samples.future.shape[1]):
        truth, last = samples.future[:, day], samples.last[:, 0]
        mae = float(np.abs(close[:, day] - truth).mean())
        moved = truth != last
        right = (close[:, day] > last)[moved] == (truth > last)[moved]
        scores.append(
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
    return scores


def flaw(days: list[dict[str, float]]) -> str | None:
    """What disqualifies a model, however good its score."""
    worst = max(days, key=lambda day: day["mae_ratio"])
    if worst["mae_ratio"] > MAX_WORSE:
        return f"its error on day {worst['day']} is {worst['mae_ratio'] - 1:.1%} larger than persistence's"
    for day in days:
        if not COVERAGE_BOUNDS[0] <= day["coverage"] <= COVERAGE_BOUNDS[1]:
            return f"its interval of day {day['day']} holds {day['coverage']:.1%} of the closes, not {COVERAGE:.0%}"
    return None


def train(recipe: Recipe | None = None, closes: prices.Closes | None = None) -> Packed:
    """Train, calibrate, score on the unseen years beside persistence, and pack."""
    recipe, closes = recipe or Recipe(window=WINDOW, horizon=HORIZON), closes or prices.read()
    periods = split(closes)
    fitting, calibration, unseen = (
        windows(period, recipe) for period in (periods.fitting, periods.calibration, periods.unseen)
    )
    print(f"stock_forecast: {closes.source}, {len(closes.values)} closes, seed {recipe.seed}")
    print(f"  learning from {closes.days[0]:%Y-%m-%d} on")
    print(f"  judged from {closes.days[-len(periods.unseen)]:%Y-%m-%d} to {closes.days[-1]:%Y-%m-%d}")

    from training import lstm  # TensorFlow takes seconds to load: who asks for help, or errs, need not wait for it

    model = lstm.train(fitting, calibration, recipe)

    outputs = lstm.predict(model, unseen.closes)
    still = persistence(fitting, unseen)
    daily_change = float(np.abs(np.diff(periods.fitting)).mean())
    days, still_days = by_day(outputs, unseen, daily_change), by_day(still, unseen, daily_change)
    loss, still_loss = pinball(outputs, unseen), pinball(still, unseen)
    plainly = _plainly(days, loss, still_loss)
    _summary(days, still_days, plainly)

    returns = np.diff(np.log(periods.fitting))
    path_ends = outputs[:, recipe.horizon - 1] / unseen.last[:, 0] - 1
    return pack(
        Candidate(
            name=NAME,
            about="Forecasts a stock's next ten closes with 90 % intervals",
            seed=recipe.seed,
            data=Data(
                source=closes.source,
                licence=closes.licence,
                fingerprint=closes.fingerprint,
                rows=len(fitting.closes),
                rows_held_out=len(unseen.closes),
            ),
            parameters=asdict(recipe),
            libraries=("keras", "tensorflow-cpu", "tf2onnx", "onnx", "numpy"),
            module="",
            native=lambda folder: model.save(folder / "model.keras"),
            compiled=lstm.compiled(model),
            contract=CONTRACT,
            reference=reference(
                {"daily_return": returns, "volatility": volatility(fitting.closes)[:, 0]},
                {"path_end": path_ends},
                coverage=COVERAGE,
            ),
            headline=Headline(
                metric="pinball_percent",
                value=loss,
                baseline=BASELINE,
                baseline_value=still_loss,
                higher_is_better=False,
            ),
            held_out=HeldOut(
                rows=unseen.closes.astype(np.float32),
                native_outputs=outputs,
                score=lambda other: pinball(other, unseen),
                scale=unseen.last,
            ),
            scores={"pinball_percent": loss, "days": days, "plainly": plainly},
            baselines={BASELINE: {"pinball_percent": still_loss, "days": still_days}},
            labels={"task": "forecast", "framework": "keras"},
            flaw=flaw(days),
        )
    )


def _plainly(days: list[dict[str, float]], loss: float, still_loss: float) -> str:
    change = float(np.mean([day["mae_ratio"] for day in days])) - 1
    size = f"{abs(change):.2%} {'smaller' if change < 0 else 'larger'} than"
    path = f"Over the ten days the path's error is {size} that of assuming that nothing changes"
    verdict = "better at it" if change < -0.01 else "no better at saying where the price goes"
    gain = 1 - loss / still_loss
    return (
        f"{path}: it is {verdict}. Together with its interval the loss is {abs(gain):.1%} "
        f"{'smaller' if gain > 0 else 'larger'} than that of persistence with a fixed interval: "
        f"it {'knows' if gain > 0 else 'does not know'} better how uncertain the days are."
    )


def _summary(days: list[dict[str, float]], still: list[dict[str, float]], plainly: str) -> None:
    columns = ["mae", "mae_ratio", "mase", "coverage", "width", "direction", "rises"]
    lines: dict[str, dict[str, Any]] = {f"day {int(day['day'])}": day for day in days}
    lines |= {f"persistence, day {int(day['day'])}": day for day in still if day["day"] in (1, len(still))}
    print()
    print(table("on unseen years", columns, lines))
    print()
    print(plainly)


def _closes(options: argparse.Namespace) -> prices.Closes:
    if options.source == "csv":
        return prices.read()
    return prices.fetch(options.ticker, options.start, options.end)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.stock_forecast", description=__doc__)
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="the same seed gives the same model")
    parser.add_argument("--source", choices=["csv", "yfinance"], default="csv", help="the reference file, or Yahoo")
    parser.add_argument("--ticker", default="MSFT", help="for yfinance")
    parser.add_argument("--start", help="for yfinance: the first day, as 2010-01-01")
    parser.add_argument("--end", help="for yfinance: the day after the last")
    options = parser.parse_args()
    if options.source == "yfinance" and not (options.start and options.end):
        parser.error("--source yfinance needs --start and --end")
    try:
        train(Recipe(seed=options.seed), _closes(options))
    except prices.PricesError as error:
        sys.exit(f"error: {error}. Nothing was saved.")


if __name__ == "__main__":
    main()
