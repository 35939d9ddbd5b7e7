"""The service `bentos.stock_forecast:StockForecast` and its contract.

The service is loaded when it is asked for: who wants only the contract, as training does, needs no model in the store.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "StockForecast":
        from bentos.stock_forecast.service import StockForecast

        return StockForecast
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
