"""Train the stock forecaster: an LSTM from 60 daily closes to the next 10, each with a 90 % interval."""

import argparse
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from bentos.stock_forecast.contract import CONTRACT, HORIZON, NAME, WINDOW
from marmita.records.database.database import DatabaseDownError
from marmita.records.prices.time_split import CALIBRATION_SHARE, TRAINING_SHARE, first_unseen
from marmita.registry.card import Card, Data, Headline
from marmita.registry.packed_model import PackedModel
from marmita.training.examples import Doubles
from marmita.training.packing import Candidate, HeldOut, pack
from marmita.training.reference import reference
from marmita.training.report import ScoreLine
from marmita.training.run import arguments, train_and_record
from training.stock_forecast import fine_tuning, prices
from training.stock_forecast.path_scores import (
    PERSISTENCE,
    RANDOM_WALK,
    TOLERANCE,
    flaw,
    persistence,
    pinball,
    plainly,
    random_walk,
    score_lines,
    scores,
    show,
)
from training.stock_forecast.windows import COVERAGE, Recipe, volatility, windows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TimeSplit:
    """Three consecutive periods that share no day."""

    fitting: Doubles
    calibration: Doubles
    unseen: Doubles


def split(closes: prices.Closes) -> TimeSplit:
    """Split closes by time: the oldest years for fitting, the next for calibration, the latest are held out."""
    first = int(len(closes.values) * TRAINING_SHARE)
    second = first_unseen(len(closes.values))
    periods = TimeSplit(*np.split(closes.values, [first, second]))
    shortest = min(len(periods.calibration), len(periods.unseen))
    if shortest < 2 * (WINDOW + HORIZON):
        raise prices.PricesError(
            f"{closes.source}: {len(closes.values)} closes are too few to learn from and to judge by; "
            f"take at least {int(2 * (WINDOW + HORIZON) / CALIBRATION_SHARE) + 1}"
        )
    return periods


def train(recipe: Recipe | None = None, closes: prices.Closes | None = None, fine_tune: bool = False) -> PackedModel:
    """Train, or fine-tune the champion, calibrate, score on the unseen years beside the baselines, and pack."""
    recipe, closes = recipe or Recipe(window=WINDOW, horizon=HORIZON), closes or prices.read()
    periods = split(closes)
    fitting, calibration, unseen = (
        windows(period, recipe) for period in (periods.fitting, periods.calibration, periods.unseen)
    )
    origin = fine_tuning.champion() if fine_tune else None
    recipe = fine_tuning.gentle(recipe) if fine_tune else recipe
    print(f"stock_forecast: {closes.source}, {len(closes.values)} closes, seed {recipe.seed}")
    print(f"  {f'fine-tuning {origin.tag}' if origin else 'training'} on closes from {closes.days[0]:%Y-%m-%d} on")
    print(f"  held out: {closes.days[-len(periods.unseen)]:%Y-%m-%d} to {closes.days[-1]:%Y-%m-%d}")

    from training.stock_forecast import lstm

    weights = lstm.weights_of(origin, recipe) if origin else None
    model = lstm.train(fitting, calibration, recipe, weights)

    outputs = lstm.predict(model, unseen.closes)
    daily_change = float(np.abs(np.diff(periods.fitting)).mean())
    mine = scores(outputs, unseen, daily_change)
    baselines = {
        PERSISTENCE: scores(persistence(calibration, unseen), unseen, daily_change),
        RANDOM_WALK: scores(random_walk(calibration, unseen), unseen, daily_change),
    }
    verdict = plainly(mine, baselines[RANDOM_WALK])
    show(mine, baselines, verdict)

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
                until=closes.days[-1].date(),
            ),
            parameters=asdict(recipe) | ({"fine_tuned_from": origin.tag} if origin else {}),
            libraries=("keras", "tensorflow-cpu", "tf2onnx", "onnx", "numpy"),
            module="",
            native=lambda folder: model.save(folder / lstm.NATIVE),
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
            scores=mine | {"plainly": verdict},
            baselines=baselines,
            labels={"task": "forecast", "framework": "keras"},
            flaw=flaw(mine["days"]),
            fine_tuned_from=origin,
        )
    )


def _closes(options: argparse.Namespace) -> prices.Closes:
    match options.source:
        case "stored":
            return prices.stored(options.ticker)
        case "yfinance":
            return prices.fetch(options.ticker or "MSFT", options.start, options.end)
        case _:
            return prices.read()


def _options() -> argparse.Namespace:
    parser = arguments(NAME, __doc__)
    parser.add_argument(
        "--source",
        choices=["csv", "yfinance", "stored"],
        default="csv",
        help="where the prices come from: the reference file, Yahoo Finance, or the database",
    )
    parser.add_argument("--ticker", help="the stock (with yfinance: MSFT by default)")
    parser.add_argument("--start", help="for yfinance: the first day, such as 2010-01-01")
    parser.add_argument("--end", help="for yfinance: the day after the last")
    parser.add_argument("--fine-tune", action="store_true", help="start from the champion's weights")
    options = parser.parse_args()
    if options.source == "yfinance" and not (options.start and options.end):
        parser.error("--source yfinance needs --start and --end")
    if options.source == "stored" and not options.ticker:
        parser.error("--source stored needs --ticker")
    if options.source != "yfinance" and (options.start or options.end):
        parser.error("--start and --end go with --source yfinance")
    if options.source == "csv" and options.ticker:
        parser.error("--ticker goes with --source yfinance and --source stored")
    return options


def pictures(packed: PackedModel, closes: prices.Closes, recipe: Recipe) -> dict[str, "Figure"]:
    """Draw the plots of a model, by name."""
    from training.stock_forecast import figures

    unseen = windows(split(closes).unseen, recipe)
    return {"forecast": figures.forecast(packed, unseen, [len(unseen.last) * part // 8 for part in (1, 4, 7)])}


def main() -> None:
    options = _options()
    recipe = Recipe(window=WINDOW, horizon=HORIZON, seed=options.seed)
    closes: list[prices.Closes] = []

    def run() -> PackedModel:
        closes.append(_closes(options))
        return train(recipe, closes[0], options.fine_tune)

    try:
        train_and_record(NAME, run, options.run, lambda packed: pictures(packed, closes[0], recipe))
    except (prices.PricesError, fine_tuning.CannotFineTuneError, DatabaseDownError) as error:
        sys.exit(f"error: {error}. Nothing was saved.")


class ForecasterTraining:
    """The forecaster's training, with the interface that all trainings have."""

    name = NAME

    def train(self, **parameters: int) -> PackedModel:
        return train(Recipe(window=WINDOW, horizon=HORIZON, **parameters))

    def pictures(self, packed: PackedModel) -> dict[str, "Figure"]:
        return pictures(packed, prices.read(), Recipe(window=WINDOW, horizon=HORIZON))

    def score_lines(self, card: Card) -> list[ScoreLine]:
        return score_lines(card)

    def main(self) -> None:
        main()


TRAINING = ForecasterTraining()
