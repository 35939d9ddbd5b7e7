"""The drift power study: the rates of false and true drift alarms. Run it with `python -m benchmarks.drift_power`.

The data is generated, so it is known which streams drift. Each figure is the share of streams that raised an alarm.
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
"""The index of the shifted feature, which is normally distributed with a standard deviation of one."""
MIX = (0.78, 0.14, 0.08)
"""The distribution of the rows over three classes."""

TRADING_DAYS = 2300
"""The number of days in the forecaster's reference, which is of one stock."""
WINDOW, HORIZON = 60, 10
COMMON = 0.5
"""The share of the variance of returns and of log-volatility that is common to all stocks."""

TABLE = ValueEvaluator("table", FEATURES, target="answer", low=0, high=10)
STOCKS = PathEvaluator("stocks", WINDOW, HORIZON)

Rows = Callable[[np.random.Generator, int], Doubles]
"""A function that generates a stream of a given number of rows."""
Alarm = Callable[[np.random.Generator, Rows, int], bool]
"""A function that tells whether a stream raises an alarm."""


def rows(generator: np.random.Generator, size: int, mix: Sequence[float] = MIX) -> Doubles:
    """Generate a realistic table.

    Its classes differ in four features. Other features are skewed, integers, or zero in half of the rows.
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
    """Generate closes of stocks, one column for each, whose volatility clusters are partly shared."""
    level = _of_all(_spells(generator, days, stocks), _spells(generator, days, 1))
    noise = _of_all(generator.normal(size=(days, stocks)), generator.normal(size=(days, 1)))
    made: Doubles = 20 * np.exp(np.cumsum(wilder * 0.011 * np.exp(level) * noise, axis=0))
    return made


def asked(days: int = 1, wilder: float = 1) -> Rows:
    """Return a stream of windows of stocks, with a window of each stock on each of some consecutive days."""

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
    """Tell whether a new stream of a table raises an alarm against a new reference."""
    known, new = rows(generator, REFERENCE_ROWS), stream(generator, size)
    reference = {
        "features": {name: describe(values) for name, values in zip(FEATURES, known.T, strict=True)},
        "predictions": {"answer": describe(_answers(known)[:, 0])},
    }
    return _alarm(TABLE, reference, new, _answers(new))


def stock_alarm(generator: np.random.Generator, stream: Rows, size: int) -> bool:
    """Tell whether a new stream of windows of closes raises an alarm against a new reference."""
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


def alarm_rate(alarm: Alarm, stream: Rows, size: int, repetitions: int, seed: int = 7) -> float:
    """Return the share of streams that raise an alarm."""
    generator = np.random.default_rng([seed, size])
    return sum(alarm(generator, stream, size) for _ in range(repetitions)) / repetitions


def _alarm(evaluator: Evaluator, reference: Mapping[str, Any], new: Doubles, outputs: Doubles) -> bool:
    found = drift.watch(evaluator, reference, _single(new), _single(outputs))
    return any(one.alarm for one in found)


def _single(values: Doubles) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float32)


def _answers(known: Doubles) -> Doubles:
    """Return the predictions of a model that sums some features."""
    return np.repeat(known[:, 2:6].sum(axis=1, keepdims=True), TABLE.outputs, axis=1)


def _paths(windows: Doubles) -> Doubles:
    """Return the predictions of a model that extrapolates a tenth of the last ten days' change."""
    ends = windows[:, -1:] * (windows[:, -1:] / windows[:, -HORIZON - 1 : -HORIZON]) ** 0.1
    return np.repeat(ends, STOCKS.outputs, axis=1)


def _spells(generator: np.random.Generator, days: int, stocks: int) -> Doubles:
    """Generate log-volatilities of stocks: an autoregressive process with a half-life of about a month."""
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
    """Return the alarm rates of all streams and sizes as a Markdown table."""
    lines = [[title, *(f"{size:,}" for size in SIZES)], ["---", *("---:" for _ in SIZES)]]
    for name, stream in streams.items():
        lines.append([name, *(f"{alarm_rate(alarm, stream, size, repetitions):.1%}" for size in SIZES)])
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
