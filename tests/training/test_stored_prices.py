"""The forecaster learns from the prices that are kept, as far as they go without a gap."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from marmita.records.database.database import Database
from marmita.records.prices.bars import DAY
from marmita.registry.packed_model import PackedModel
from marmita.training import run
from tests.messages import mentions
from tests.records.stocks import FIRST, TICKER, changed, keep, walk
from training.stock_forecast import prices, train


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    monkeypatch.setattr(prices, "database", lambda: database)
    monkeypatch.setattr(run, "database", lambda: database)
    return database


def test_all_days_in_a_row_are_taken_up_to_the_newest(records: Database) -> None:
    bars = walk(250)
    keep(records, bars)

    closes = prices.stored(TICKER.lower())

    assert closes.values == pytest.approx([bar.close for bar in bars])
    assert [day.date() for day in closes.days] == [bar.day for bar in bars]
    assert mentions(closes.source, "TEST", bars[0].day, bars[-1].day)


def test_they_are_adjusted_for_dividends(records: Database) -> None:
    bars = changed(walk(10), 5, dividend=1.0)
    keep(records, bars)

    closes = prices.stored(TICKER)

    assert closes.values[5:] == pytest.approx([bar.close for bar in bars[5:]])
    assert all(closes.values[:5] < [bar.close for bar in bars[:5]])


def test_days_before_a_gap_are_left_out(records: Database) -> None:
    early, late = walk(30), walk(40, first=FIRST + timedelta(days=70))
    keep(records, early)
    keep(records, late)

    assert [day.date() for day in prices.stored(TICKER).days] == [bar.day for bar in late]
    assert early[-1].day < late[0].day - DAY


@pytest.mark.parametrize(("ticker", "named"), [("NONE", "NONE"), ("no ticker", "ticker .*32")])
def test_prices_that_are_not_there_end_the_script(
    records: Database, monkeypatch: pytest.MonkeyPatch, ticker: str, named: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["stock_forecast", "--source", "stored", "--ticker", ticker])

    with pytest.raises(SystemExit, match=f"^error: .*{named}"):
        train.main()


def test_too_few_prices_are_a_clear_error(records: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(records, walk(300))
    monkeypatch.setattr(sys, "argv", ["stock_forecast", "--source", "stored", "--ticker", TICKER])

    with pytest.raises(SystemExit, match=r"^error: .* 300 .* 904\b"):
        train.main()


@pytest.mark.parametrize(
    "wrong",
    [["--source", "stored"], ["--ticker", "X"], ["--source", "stored", "--ticker", "X", "--start", "2020-01-01"]],
)
def test_options_that_do_not_go_together_are_refused(wrong: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stock_forecast", *wrong])

    with pytest.raises(SystemExit, match="2"):
        train.main()


def test_the_card_says_which_day_was_the_last(champions: dict[str, PackedModel]) -> None:
    data = champions["stock_forecast"].card.data

    assert data.until == prices.read().days[-1].date()
    assert data.held_out_from is not None
    assert data.held_out_from < data.until
    assert champions["wine_quality"].card.data.until is None
