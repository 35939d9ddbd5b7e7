"""The front door: one service that answers for all three models.

Its runners live inside its workers (colocated) or in processes of their own (split): `MARMITA_TOPOLOGY` says which.
The code and the answers are the same.
"""

from datetime import date
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from bentos.fetal_health.contract import Exam, Exams, ExamStatus
from bentos.fetal_health.service import FetalHealth
from bentos.stock_forecast.contract import AllSeries, Forecast, ForecastBesideActual, ForecastFrom, Series
from bentos.stock_forecast.service import StockForecast
from bentos.wine_quality.contract import Wine, Wines, WineScore
from bentos.wine_quality.service import WineQuality
from marmita.runtime.runner import answer
from marmita.service import Service
from marmita.web.topology import ask, ready


@bentoml.service(service_class=Service, description="Three models, one Bento: fetal health, wine quality, stocks.")
class Marmita:
    """Three models behind one door."""

    fetal_health: Any = bentoml.depends(FetalHealth)
    wine_quality: Any = bentoml.depends(WineQuality)
    stock_forecast: Any = bentoml.depends(StockForecast)

    @bentoml.api(route="/fetal-health/classify", input_spec=Exams)
    async def classify(self, exams: list[Exam]) -> Annotated[list[ExamStatus], ContentType("application/json")]:
        """Classify cardiotocograms.

        Each exam gets its most probable class and the probabilities of all three.
        """
        return answer(await ask(self.fetal_health.to_async.classify(exams=exams)))

    @bentoml.api(route="/wine-quality/score", input_spec=Wines)
    async def score(self, wines: list[Wine]) -> Annotated[list[WineScore], ContentType("application/json")]:
        """Score red wines.

        Each wine gets the score that tasters would give it, from 0 to 10, and an interval that holds the true score
        of nine wines in ten.
        """
        return answer(await ask(self.wine_quality.to_async.score(wines=wines)))

    @bentoml.api(route="/stock-forecast/forecast", input_spec=AllSeries)
    async def forecast(self, series: list[Series]) -> Annotated[list[Forecast], ContentType("application/json")]:
        """Forecast the next closes of stocks.

        Each series gets a path of as many days as its horizon says. Nine closes in ten should lie in their day's
        interval.
        """
        return answer(await ask(self.stock_forecast.to_async.forecast(series=series)))

    @bentoml.api(route="/stock-forecast/forecast-from", input_spec=ForecastFrom)
    async def forecast_from(
        self, ticker: str, as_of: date, horizon: int
    ) -> Annotated[ForecastBesideActual, ContentType("application/json")]:
        """Forecast from the closes that are kept, as if it were that day.

        The forecast knows of no later day. Beside it stand the actual closes, as far as they are known.
        """
        runner = self.stock_forecast.to_async
        return answer(await ask(runner.forecast_from(ticker=ticker, as_of=as_of, horizon=horizon)))

    async def __is_ready__(self) -> bool:
        return await ready(self.fetal_health, self.wine_quality, self.stock_forecast)
