"""Load tests: `locust --host http://localhost:3000`.

Three kinds of users ask as real ones do, with rows of the reference data, and look at what they get: an answer that
can't be right counts as a failure.
"""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from locust import FastHttpUser, between, task

from bentos.fetal_health.contract import HEADERS as EXAM_HEADERS
from bentos.fetal_health.contract import STATUSES, Exam
from bentos.stock_forecast.contract import HORIZON, WINDOW
from bentos.wine_quality.contract import HEADERS as WINE_HEADERS
from bentos.wine_quality.contract import Wine
from marmita.contract import features

DATA = Path(__file__).parent / "training" / "data"


def rows(file: str, delimiter: str, names: list[str], headers: dict[str, str]) -> list[dict[str, float]]:
    """The rows of a reference file under the contract's names."""
    with (DATA / file).open() as lines:
        reader = csv.DictReader(lines, delimiter=delimiter)
        return [{name: float(row[headers.get(name, name)]) for name in names} for row in reader]


EXAMS = rows("fetal_health.csv", ",", features(Exam), EXAM_HEADERS)
WINES = rows("winequality-red.csv", ";", features(Wine), WINE_HEADERS)
CLOSES = [row["Adj Close"] for row in rows("msft_daily.csv", ",", ["Adj Close"], {})]


class Asking(FastHttpUser):
    """Someone who asks a model and looks at the answer."""

    abstract = True

    def ask(self, route: str, request: dict[str, list[Any]], plausible: Callable[[Any], bool]) -> None:
        (asked,) = request.values()
        with self.client.post(route, json=request, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"{response.status_code}: {response.text}")
                return
            answers = response.json()
            if len(answers) != len(asked):
                response.failure(f"{len(answers)} answers to {len(asked)} rows")
            elif not all(plausible(answer) for answer in answers):
                response.failure("an answer that can't be right")


class Clinic(Asking):
    """Sends one exam at a time, as each is finished."""

    weight = 6
    wait_time = between(0.1, 0.5)

    @task
    def classify(self) -> None:
        self.ask("/fetal-health/classify", {"exams": [random.choice(EXAMS)]}, self.plausible)  # noqa: S311

    @staticmethod
    def plausible(answer: dict[str, Any]) -> bool:
        total = sum(answer["probabilities"].values())
        return answer["status"] in STATUSES and abs(total - 1) < 1e-3


class WineLab(Asking):
    """Sends the day's hundreds of wines in one go."""

    weight = 1
    wait_time = between(1, 3)

    @task
    def score(self) -> None:
        wines = random.sample(WINES, random.randint(100, 500))  # noqa: S311
        self.ask("/wine-quality/score", {"wines": wines}, self.plausible)

    @staticmethod
    def plausible(answer: dict[str, Any]) -> bool:
        low, high = answer["interval"]["low"], answer["interval"]["high"]
        return bool(0 <= low <= answer["quality"] <= high <= 10)


class TradingDesk(Asking):
    """Asks for the next days of a few stocks, again and again."""

    weight = 3
    wait_time = between(0.2, 1)

    @task
    def forecast(self) -> None:
        horizon = random.randint(1, HORIZON)  # noqa: S311
        starts = random.sample(range(len(CLOSES) - WINDOW), 5)
        series = [{"closes": CLOSES[start : start + WINDOW], "horizon": horizon} for start in starts]
        self.ask("/stock-forecast/forecast", {"series": series}, self.plausible)

    @staticmethod
    def plausible(answer: dict[str, Any]) -> bool:
        return all(0 < step["low"] <= step["close"] <= step["high"] for step in answer["path"])
