"""Tickers are written as Yahoo Finance writes them."""

import pytest

from marmita.records.prices.ticker import ticker_of


@pytest.mark.parametrize("ticker", ["MSFT", " msft ", "BRK-B", "^GSPC", "PETR4.SA", "EURUSD=X", "A" * 32])
def test_tickers_are_written_as_yahoo_writes_them(ticker: str) -> None:
    assert ticker_of(ticker) == ticker.strip().upper()


@pytest.mark.parametrize("ticker", ["", ".", "-X", "A/B", "A B", "ÄÖ", "A" * 33, "A?B", "A;B", "A%2FB"])
def test_what_is_no_ticker_is_refused(ticker: str) -> None:
    with pytest.raises(ValueError, match=r"32 .*MSFT"):
        ticker_of(ticker)
