"""Stocks: a window of daily closes in, a path of the next days out."""

from bentos.stock_forecast.service import StockForecast as StockForecast
