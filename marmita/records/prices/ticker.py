"""The ticker of a stock, as Yahoo Finance writes it."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_PATTERN = r"^[A-Z0-9^][A-Z0-9.^=-]{0,31}$"


def ticker_of(text: str) -> str:
    """Return a ticker as Yahoo Finance writes it. Raise a ValueError if it is invalid."""
    ticker = text.strip().upper()
    if not re.fullmatch(_PATTERN, ticker):
        raise ValueError("a ticker has at most 32 characters, letters, digits and . ^ = -, such as MSFT or BRK-B")
    return ticker


Ticker = Annotated[
    str, AfterValidator(ticker_of), Field(description="The stock, as Yahoo Finance calls it", examples=["MSFT"])
]
