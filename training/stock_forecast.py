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
from training.run import remembered
from training.windows import COVERAGE, QUANTILES, Recipe, Samples, moves, volatility, windows

TRAINING_SHARE = 0.68
CALIBRATION_SHARE = 0.155
"""Of the reference file that is: learn from 2000 to 2008, calibrate on 2009 and 2010, judge by what came after."""
PERSISTENCE = "persistence"
RANDOM_WALK = "random walk"
TOLERANCE = 0.01
"""A forecaster that is as good as a random walk but for this is worth serving: nobody has a better one."""
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


def persistence(calibration: Samples, samples: Samples) -> Doubles:
    """Tomorrow equals today, within the interval that the calibration years' returns had: in the model's own layout."""
    returns = np.log(calibration.future / calibration.last)
    low, high = (np.quantile(returns, quantile, axis=0) for quantile in (QUANTILES[0], QUANTILES[-1]))
    still = np.repeat(samples.last, samples.future.shape[1], axis=1)
    return np.hstack([still, samples.last * np.exp(low), samples.last * np.exp(high)])


def random_walk(calibration: Samples, samples: Samples) -> Doubles:
    """Tomorrow equals today, within an interval as wide as the window's own volatility says: all of the forecaster
    but its network.
    """
    reach = np.quantile(np.abs(moves(calibration)), COVERAGE, axis=0)
    days = np.arange(1, samples.future.shape[1] + 1)
    half = volatility(samples.closes) * np.sqrt(days) * reach
    still = np.repeat(samples.last, len(days), axis=1)
    return np.hstack([still, samples.last * np.exp(-half), samples.last * np.exp(half)])


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
    daily_change = float(np.abs(np.diff(periods.fitting)).mean())
    mine = _scores(outputs, unseen, daily_change)
    baselines = {
        PERSISTENCE: _scores(persistence(calibration, unseen), unseen, daily_change),
        RANDOM_WALK: _scores(random_walk(calibration, unseen), unseen, daily_change),
    }
    plainly = _plainly(mine, baselines[RANDOM_WALK])
    _summary(mine, baselines, plainly)

    best = min(baselines, key=lambda name: float(baselines[name]["pinball_percent"]))
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
                held_out_from=closes.days[-len(periods.unseen)].date(),
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
                value=mine["pinball_percent"],
                baseline=best,
                baseline_value=baselines[best]["pinball_percent"],
                higher_is_better=False,
                tolerance=TOLERANCE,
            ),
            held_out=HeldOut(
                rows=unseen.closes.astype(np.float32),
                native_outputs=outputs,
                score=lambda other: pinball(other, unseen),
                scale=unseen.last,
            ),
            scores=mine | {"plainly": plainly},
            baselines=baselines,
            labels={"task": "forecast", "framework": "keras"},
            flaw=flaw(mine["days"]),
        )
    )


def _scores(outputs: Doubles, samples: Samples, daily_change: float) -> dict[str, Any]:
    return {"pinball_percent": pinball(outputs, samples), "days": by_day(outputs, samples, daily_change)}


def _plainly(mine: dict[str, Any], walk: dict[str, Any]) -> str:
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


def _summary(mine: dict[str, Any], baselines: dict[str, dict[str, Any]], plainly: str) -> None:
    columns = ["mae", "mae_ratio", "mase", "coverage", "width", "direction", "rises"]
    lines: dict[str, dict[str, Any]] = {f"day {day['day']}": day for day in mine["days"]}
    for name, scores in baselines.items():
        lines |= {f"{name}, day {day['day']}": day for day in (scores["days"][0], scores["days"][-1])}
    print()
    print(table("on unseen years", columns, lines))
    print()
    print(table("of the whole path", ["pinball_percent"], {"this model": mine, **baselines}))
    print()
    print(plainly)


def _closes(options: argparse.Namespace) -> prices.Closes:
    if options.source == "csv":
        return prices.read()
    return prices.fetch(options.ticker or "MSFT", options.start, options.end)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.stock_forecast", description=__doc__)
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="the same seed gives the same model")
    parser.add_argument("--source", choices=["csv", "yfinance"], default="csv", help="the reference file, or Yahoo")
    parser.add_argument("--ticker", help="for yfinance: MSFT if none is given")
    parser.add_argument("--start", help="for yfinance: the first day, as 2010-01-01")
    parser.add_argument("--end", help="for yfinance: the day after the last")
    options = parser.parse_args()
    if options.source == "yfinance" and not (options.start and options.end):
        parser.error("--source yfinance needs --start and --end")
    if options.source == "csv" and (options.ticker or options.start or options.end):
        parser.error("--ticker, --start and --end go with --source yfinance")
    try:
        remembered(NAME, lambda: train(Recipe(seed=options.seed), _closes(options)))
    except prices.PricesError as error:
        sys.exit(f"error: {error}. Nothing was saved.")


if __name__ == "__main__":
    main()
