"""Prices that can be trusted, or an error that says why not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yfinance

from bentos.stock_forecast.contract import HORIZON, WINDOW
from tests.training.yahoo import yahoo
from training.stock_forecast import prices, train
from training.stock_forecast.prices import PricesError

START, END = "2020-01-01", "2021-01-01"


@pytest.fixture(autouse=True)
def no_cache_at_home(tmp_path: Path) -> None:
    yfinance.set_tz_cache_location(str(tmp_path))


def walk(days: int) -> pd.Series:
    generator = np.random.default_rng(1)
    index = pd.bdate_range(START, periods=days)
    return pd.Series(50 * np.exp(np.cumsum(generator.normal(0, 0.01, days))), index=index)


def test_the_reference_file_is_adjusted_for_its_split() -> None:
    closes = prices.read()

    assert len(closes.values) == 3270
    assert np.abs(np.diff(np.log(closes.values))).max() < 0.25
    assert (np.diff(closes.days) > np.timedelta64(0)).all()


def test_prices_come_through_yfinance() -> None:
    series = walk(200)
    with yahoo(series) as session:
        closes = prices.fetch("TEST", START, END, session)

    assert closes.values == pytest.approx(series.to_numpy(), rel=1e-6)
    assert "TEST" in closes.source


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_failure_of_yahoo_is_an_error_and_not_an_empty_table(status: int) -> None:
    """Each with a ticker of its own: yfinance remembers what it was told."""
    ticker = f"FAILS{status}"
    with yahoo(walk(5), status=status) as session, pytest.raises(PricesError, match=f"{ticker} "):
        prices.fetch(ticker, START, END, session)


def test_no_prices_are_an_error() -> None:
    with yahoo(walk(0)) as session, pytest.raises(PricesError, match="NOTHING "):
        prices.fetch("NOTHING", START, END, session)


@pytest.mark.parametrize(
    ("wrong", "day", "value"),
    [
        ([1.0, 2.0, 0.0], "2020-01-03", "0.0"),
        ([1.0, -2.0, 3.0], "2020-01-02", "-2.0"),
        ([1.0, 2.0, float("nan")], "2020-01-03", "nan"),
    ],
)
def test_a_close_that_is_no_price_is_named_with_its_day(
    tmp_path: Path, wrong: list[float], day: str, value: str
) -> None:
    table = pd.DataFrame({"Date": ["2020-01-01", "2020-01-02", "2020-01-03"], "Adj Close": wrong})
    table.to_csv(tmp_path / "prices.csv")

    with pytest.raises(PricesError, match=f"{day} .*{value}"):
        prices.read(tmp_path / "prices.csv")


def test_a_day_that_occurs_twice_is_named(tmp_path: Path) -> None:
    table = pd.DataFrame({"Date": ["2020-01-01", "2020-01-01"], "Adj Close": [1.0, 1.0]})
    table.to_csv(tmp_path / "prices.csv")

    with pytest.raises(PricesError, match=r"2020-01-01 .*twice"):
        prices.read(tmp_path / "prices.csv")


def test_too_few_closes_to_judge_by_are_an_error(empty_store: Path) -> None:
    with yahoo(walk(400)) as session:
        closes = prices.fetch("YOUNG", START, END, session)

    with pytest.raises(PricesError, match=f"YOUNG.*: {len(closes.values)} closes"):
        train.train(closes=closes)
    assert list(empty_store.iterdir()) == []


def test_periods_follow_one_another_and_share_no_day() -> None:
    closes = prices.read()
    periods = train.split(closes)

    assert np.concatenate([periods.fitting, periods.calibration, periods.unseen]) == pytest.approx(closes.values)
    assert min(map(len, (periods.fitting, periods.calibration, periods.unseen))) > 5 * (WINDOW + HORIZON)
