"""How often drift is seen where there is none, and how often where there is: `python -m benchmarks.drift_power`.

The data is generated, so that what is true is known. Each figure is the share of streams that raised an alarm.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from marmita.records.quality import drift
from marmita.records.quality.evaluators import Doubles, Evaluator, Floats, ValueEvaluator
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.records.quality.reference import describe

SIZES = (50, 100, 500, 2000)
REFERENCE_ROWS = 1300
FEATURES = tuple(f"feature_{place}" for place in range(11))
PLAIN = 9
"""The feature that the shifts are about: a normal one, with a standard deviation of one."""
MIX = (0.78, 0.14, 0.08)
"""How the rows are distributed over three classes."""

TRADING_DAYS = 2300
"""So many days the reference of the forecaster has, of one stock."""
WINDOW, HORIZON = 60, 10
COMMON = 0.5
"""The share that all stocks have in common, of how much they move and of how calm or wild they are."""

TABLE = ValueEvaluator("table", FEATURES, target="answer", low=0, high=10)
STOCKS = PathEvaluator("stocks", WINDOW, HORIZON)

Rows = Callable[[np.random.Generator, int], Doubles]
"""Makes a stream of so many rows."""
Alarm = Callable[[np.random.Generator, Rows, int], bool]
"""Says whether such a stream raises an alarm."""


def rows(generator: np.random.Generator, size: int, mix: Sequence[float] = MIX) -> Doubles:
    """A table like those that people have: classes that differ in four features, and features that are skewed, whole
    numbers, or zero in half of the rows.
    """
    made = generator.normal(size=(size, len(FEATURES)))
    made[:, :4] += generator.choice(len(mix), size=(size, 1), p=mix)
    made[:, 4:7] = np.exp(made[:, 4:7] / 2)
    made[:, 7] = np.round(made[:, 7] * 2)
    made[:, 8] = np.maximum(made[:, 8], 0)
    return made


def shifted(by: float) -> Rows:
    return lambda generator, size: rows(generator, size) + by * (np.arange(len(FEATURES)) == PLAIN)


def scaled(by: float) -> Rows:
    return lambda generator, size: rows(generator, size) * np.where(np.arange(len(FEATURES)) == PLAIN, by, 1)


def mixed(*mix: float) -> Rows:
    return lambda generator, size: rows(generator, size, mix)


TABLES: dict[str, Rows] = {
    "nothing changed": rows,
    "one feature moved by 0.1 standard deviations": shifted(0.1),
    "by 0.25": shifted(0.25),
    "by 0.5": shifted(0.5),
    "by 1": shifted(1),
    "one feature 1.5 times as wide": scaled(1.5),
    "2 times as wide": scaled(2),
    "classes 78, 14 and 8 % became 60, 25 and 15 %": mixed(0.60, 0.25, 0.15),
    "40, 35 and 25 %": mixed(0.40, 0.35, 0.25),
}


def closes(generator: np.random.Generator, stocks: int, days: int, wilder: float = 1) -> Doubles:
    """Closes of stocks, a column each, with spells of calm and wild days that they partly share."""
    level = _of_all(_spells(generator, days, stocks), _spells(generator, days, 1))
    noise = _of_all(generator.normal(size=(days, stocks)), generator.normal(size=(days, 1)))
    made: Doubles = 20 * np.exp(np.cumsum(wilder * 0.011 * np.exp(level) * noise, axis=0))
    return made


def asked(days: int = 1, wilder: float = 1) -> Rows:
    """Windows of stocks of which each is asked about on so many days in a row."""

    def make(generator: np.random.Generator, size: int) -> Doubles:
        made = closes(generator, size, WINDOW + days - 1, wilder)
        return np.concatenate([made[day : day + WINDOW].T for day in range(days)])

    return make


STREAMS: dict[str, Rows] = {
    "nothing changed": asked(),
    "nothing changed, each stock asked on 5 days": asked(days=5),
    "all stocks 2 times as wild": asked(wilder=2),
    "4 times as wild": asked(wilder=4),
    "0.1 times: closes of minutes, not of days": asked(wilder=0.1),
}


def table_alarm(generator: np.random.Generator, stream: Rows, size: int) -> bool:
    """Whether a new stream of a table raises an alarm, against a new reference."""
    known, new = rows(generator, REFERENCE_ROWS), stream(generator, size)
    reference = {
        "features": {name: describe(values) for name, values in zip(FEATURES, known.T, strict=True)},
        "predictions": {"answer": describe(_answers(known)[:, 0])},
    }
    return _alarm(TABLE, reference, new, _answers(new))


def stock_alarm(generator: np.random.Generator, stream: Rows, size: int) -> bool:
    """The same for windows of closes."""
    history = closes(generator, 1, TRADING_DAYS)[:, 0]
    known, new = np.lib.stride_tricks.sliding_window_view(history, WINDOW), stream(generator, size)
    returns = np.diff(np.log(known), axis=1)
    reference = {
        "features": {
            "daily_return": describe(np.diff(np.log(history))),
            "volatility": describe(np.sqrt(np.mean(returns**2, axis=1))),
        },
        "predictions": {"path_end": describe(_paths(known[-500:])[:, HORIZON - 1] / known[-500:, -1] - 1)},
    }
    return _alarm(STOCKS, reference, new, _paths(new))


def share(alarm: Alarm, stream: Rows, size: int, repetitions: int, seed: int = 7) -> float:
    """How many of so many streams raise an alarm."""
    generator = np.random.default_rng([seed, size])
    return sum(alarm(generator, stream, size) for _ in range(repetitions)) / repetitions


def _alarm(evaluator: Evaluator, reference: Mapping[str, Any], new: Doubles, outputs: Doubles) -> bool:
    found = drift.watch(evaluator, reference, _single(new), _single(outputs))
    return any(one.alarm for one in found)


def _single(values: Doubles) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float32)


def _answers(known: Doubles) -> Doubles:
    """What a model could say that adds some features up."""
    return np.repeat(known[:, 2:6].sum(axis=1, keepdims=True), TABLE.outputs, axis=1)


def _paths(windows: Doubles) -> Doubles:
    """What a model could say that expects a tenth of the last ten days' change to go on."""
    ends = windows[:, -1:] * (windows[:, -1:] / windows[:, -HORIZON - 1 : -HORIZON]) ** 0.1
    return np.repeat(ends, STOCKS.outputs, axis=1)


def _spells(generator: np.random.Generator, days: int, stocks: int) -> Doubles:
    """What remembers half of itself after a month: the logarithm of how wild a stock is."""
    memory, jump = 0.98, 0.16
    made = np.empty((days, stocks))
    made[0] = generator.normal(0, jump / np.sqrt(1 - memory**2), stocks)
    jumps = generator.normal(0, jump, (days, stocks))
    for day in range(1, days):
        made[day] = memory * made[day - 1] + jumps[day]
    return made


def _of_all(own: Doubles, common: Doubles) -> Doubles:
    together: Doubles = np.sqrt(1 - COMMON) * own + np.sqrt(COMMON) * common
    return together


def table(title: str, alarm: Alarm, streams: Mapping[str, Rows], repetitions: int) -> str:
    """The shares of all streams and sizes, in Markdown."""
    lines = [[title, *(f"{size:,}" for size in SIZES)], ["---", *("---:" for _ in SIZES)]]
    for name, stream in streams.items():
        lines.append([name, *(f"{share(alarm, stream, size, repetitions):.1%}" for size in SIZES)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift_power", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200, help="streams for each figure")
    repetitions = parser.parse_args().repetitions
    tables = table("rows of a table", table_alarm, TABLES, repetitions)
    stocks = table("stocks", stock_alarm, STREAMS, repetitions)
    print(f"{tables}\n\n{stocks}")


if __name__ == "__main__":
    main()
