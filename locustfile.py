"""Load tests: `make load`, or `locust` for a page to start them from, or with `--headless`, `--master`, `--worker`.

Three kinds of users ask as real ones do, with rows that no model was trained on, and look at what they get: an answer
that can't be right is a failure. A run ends with a status other than zero if a request failed, if none was made, or if
an objective was missed. Locust's own options say who is asked and by how many (`--host`, `--users`, `--run-time`), and
these are ours, which `locust --help` does not know:

--shape steady|step|spike  how `--users` come and go during `--run-time`; without it, they come and stay
--objective-p95-ms 250     so many milliseconds at the most for 95 % of each route's requests; also p50 and p99
--accept-full              a 429, with which a full service refuses, is no failure: for loads meant to be too much
"""

import logging
import random
import sys
from argparse import Namespace
from http import HTTPStatus
from typing import Any, ClassVar

from locust import FastHttpUser, LoadTestShape, between, events, task
from locust.argument_parser import LocustArgumentParser
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.event import EventHook
from locust.runners import WorkerRunner
from pydantic import TypeAdapter, ValidationError

from bentos.fetal_health.contract import NAME as FETAL_HEALTH
from bentos.fetal_health.contract import Exam, ExamStatus
from bentos.stock_forecast.contract import HORIZON, WINDOW, Forecast, Series
from bentos.stock_forecast.contract import NAME as STOCK_FORECAST
from bentos.wine_quality.contract import NAME as WINE_QUALITY
from bentos.wine_quality.contract import Wine, WineScore
from marmita.contract.answers import Error
from marmita.training.rows import exams, unseen, unseen_closes, wines

EXAMS = [Exam.model_validate(row).model_dump() for row in unseen(exams())]
WINES = [Wine.model_validate(row).model_dump() for row in unseen(wines())]
CLOSES = unseen_closes()
WINDOWS = [
    Series(closes=CLOSES[start : start + WINDOW]).model_dump(exclude={"horizon"})
    for start in range(len(CLOSES) - WINDOW + 1)
]

PLAUSIBLE_FACTOR = 1.5
"""How far a stock may be thought to go within two weeks, up or down."""
PERCENTILES = (50, 95, 99)
READY_S = 10
SHAPE_S = 60

Row = dict[str, Any]


class Asking(FastHttpUser):
    """Someone who asks a model and looks at the answer."""

    abstract = True
    host = "http://localhost:3000"
    route: ClassVar[str]
    answers: ClassVar[TypeAdapter[list[Any]]]

    def on_start(self) -> None:
        self.client.base_url = (self.client.base_url or "").rstrip("/")

    def ask(self, field: str, rows: list[Row]) -> None:
        with self.client.post(self.route, json={field: rows}, catch_response=True) as response:
            if response.request_meta["exception"] and response.status_code in (0, HTTPStatus.OK):
                return  # no answer, or half of one: Locust knows why
            # A 429 is a failure unless one says otherwise: it is no answer, and who gets it has to ask again.
            if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and self.environment.parsed_options.accept_full:
                self._refused(response)
            elif response.status_code != HTTPStatus.OK:
                response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
            elif wrong := self.wrong(rows, response.content):
                response.failure(wrong)
            else:
                response.success()

    @classmethod
    def wrong(cls, rows: list[Row], body: bytes) -> str | None:
        """What is wrong with the answers, each of which belongs to the row in its place."""
        try:
            answers = cls.answers.validate_json(body, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            return f"{'.'.join(str(part) for part in first['loc'][1:]) or 'the answers'}: {first['msg']}"
        if len(answers) != len(rows):
            return "not as many answers as rows"
        flaws = (cls.flaw(row, answer) for row, answer in zip(rows, answers, strict=True))
        return next((flaw for flaw in flaws if flaw), None)

    @staticmethod
    def flaw(row: Row, answer: Any) -> str | None:
        """What can't be right about one answer. Told without numbers, so that Locust counts equal flaws as one."""
        raise NotImplementedError

    def _refused(self, response: Any) -> None:
        """Count it under a name of its own: it came quickly, and would make the answers look quicker than they are."""
        response.request_meta["name"] = f"{self.route} (full)"
        try:
            Error.model_validate_json(response.content)
        except ValidationError:
            response.failure("429, and not as an error should look")
        else:
            response.success()


class Clinic(Asking):
    """Sends one exam at a time, as each is finished."""

    weight = 6
    wait_time = between(0.1, 0.5)
    route = "/fetal-health/classify"
    answers = TypeAdapter(list[ExamStatus])

    @task
    def classify(self) -> None:
        self.ask("exams", [random.choice(EXAMS)])  # noqa: S311

    @staticmethod
    def flaw(exam: Row, answer: ExamStatus) -> str | None:
        probabilities = answer.probabilities.model_dump()
        if not all(0 <= probability <= 1 for probability in probabilities.values()):
            return "a probability that is none"
        if abs(sum(probabilities.values()) - 1) > 1e-3:
            return "the probabilities don't add up to one"
        if probabilities[answer.status] < max(probabilities.values()):
            return "the status is not the most probable one"
        return _flaw_of_names(exam, answer.unusual) or _flaw_of_tag(FETAL_HEALTH, answer.model)


class WineLab(Asking):
    """Sends the day's hundreds of wines in one go."""

    weight = 1
    wait_time = between(1, 3)
    route = "/wine-quality/score"
    answers = TypeAdapter(list[WineScore])

    @task
    def score(self) -> None:
        self.ask("wines", random.choices(WINES, k=random.randint(100, 500)))  # noqa: S311

    @staticmethod
    def flaw(wine: Row, answer: WineScore) -> str | None:
        if not 0 <= answer.quality <= 10:
            return "a score that no taster gives"
        if not answer.interval.low <= answer.quality <= answer.interval.high:
            return "the score lies outside its interval"
        return (
            _flaw_of_coverage(answer.interval.coverage)
            or _flaw_of_names(wine, answer.unusual)
            or _flaw_of_tag(WINE_QUALITY, answer.model)
        )


class TradingDesk(Asking):
    """Asks for the next days of a few stocks, again and again."""

    weight = 3
    wait_time = between(0.2, 1)
    route = "/stock-forecast/forecast"
    answers = TypeAdapter(list[Forecast])

    @task
    def forecast(self) -> None:
        windows = random.sample(WINDOWS, 5)
        series = [window | {"horizon": random.randint(1, HORIZON)} for window in windows]  # noqa: S311
        self.ask("series", series)

    @staticmethod
    def flaw(series: Row, answer: Forecast) -> str | None:
        last = series["closes"][-1]
        if [step.step for step in answer.path] != list(range(1, series["horizon"] + 1)):
            return "the steps are not those of the horizon"
        if not all(0 < step.low <= step.close <= step.high for step in answer.path):
            return "a close lies outside its interval"
        if not all(last / PLAUSIBLE_FACTOR <= step.close <= last * PLAUSIBLE_FACTOR for step in answer.path):
            return "a close that is far from the last one"
        return _flaw_of_coverage(answer.coverage) or _flaw_of_tag(STOCK_FORECAST, answer.model)


def _flaw_of_names(row: Row, unusual: list[str]) -> str | None:
    return None if row.keys() >= set(unusual) else "something unusual that was not asked about"


def _flaw_of_coverage(coverage: float) -> str | None:
    return None if 0 < coverage < 1 else "a coverage that is none"


def _flaw_of_tag(name: str, tag: str) -> str | None:
    model, _, version = tag.partition(":")
    return None if model == name and version else "the tag is not that of a version of the model"


class Shape(LoadTestShape):
    """How many users there are over the run time.

    Locust takes the first shape that it finds; `prepare` sees to it that there is none unless it is asked for. On the
    page, `--class-picker` offers all of them.
    """

    abstract = True
    use_common_options = True
    stages: ClassVar[list[tuple[float, float]]]
    """Until when, as a share of `--run-time`, how many of the `--users` are there."""

    def tick(self) -> tuple[int, float] | None:
        assert self.runner
        options = _options(self.runner.environment)
        passed: float = self.get_run_time()  # type: ignore[no-untyped-call]
        progress = passed / (options.run_time or SHAPE_S)
        share = next((share for until, share in self.stages if progress < until), None)
        if share is None:
            return None
        # All at once: were `--spawn-rate` too slow for a stage, Locust would leave the next ones out.
        most = options.num_users or 1
        return max(1, round(share * most)), most


class Steady(Shape):
    """All users all the time."""

    stages: ClassVar = [(1.0, 1.0)]


class Step(Shape):
    """More and more users: shows from how many on the service becomes slow."""

    stages: ClassVar = [(0.2, 0.2), (0.4, 0.4), (0.6, 0.6), (0.8, 0.8), (1.0, 1.0)]


class Spike(Shape):
    """Few users, many for a moment, and few again: shows whether the service recovers."""

    stages: ClassVar = [(0.4, 0.1), (0.6, 1.0), (1.0, 0.1)]


SHAPES: dict[str, type[Shape]] = {"steady": Steady, "step": Step, "spike": Spike}


def add_options(parser: LocustArgumentParser) -> None:
    """In a group, so that they are not on the page, where Locust would take no notice of a shape."""
    ours = parser.add_argument_group("Marmita")
    ours.add_argument("--shape", choices=list(SHAPES), env_var="LOCUST_SHAPE")
    for percentile in PERCENTILES:
        variable = f"LOCUST_OBJECTIVE_P{percentile}_MS"
        ours.add_argument(f"--objective-p{percentile}-ms", type=float, env_var=variable)
    ours.add_argument("--accept-full", action="store_true", env_var="LOCUST_ACCEPT_FULL")


def prepare(environment: Environment, **_: Any) -> None:
    """Take the shape that was asked for, and don't begin if nobody is there to be asked."""
    if isinstance(environment.runner, WorkerRunner):
        return  # does what the master says
    options = _options(environment)
    environment.shape_class = SHAPES[options.shape]() if options.shape else None
    if environment.shape_class:
        environment.shape_class.runner = environment.runner
    if options.headless and (why_not := _not_ready((environment.host or Asking.host).rstrip("/"))):
        sys.exit(why_not)


def evaluator(environment: Environment, **_: Any) -> None:
    """Locust itself sees to failures. The workers' numbers are the master's by now."""
    if isinstance(environment.runner, WorkerRunner):
        return
    missed = [*_unasked(environment), *_too_slow(environment)]
    if missed:
        environment.process_exit_code = 1
        # After the tables: what was missed is what should be read.
        hooks.quit.add_listener(lambda **_: logging.getLogger(__name__).error(" ".join(missed)))


def _not_ready(host: str) -> str | None:
    nobody_listens: Any = EventHook
    client = FastHttpSession(host, nobody_listens(), None, network_timeout=READY_S, connection_timeout=READY_S)
    answer: Any = client.get("/readyz")
    if answer.status_code == 0:
        return f"Nobody answers at {host} ({answer.error}). `make serve` starts the service, --host says where it is."
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"The service at {host} is not ready: it answers /readyz with {answer.status_code}."
    return None


def _unasked(environment: Environment) -> list[str]:
    """Users who never heard back. Who is at the page may leave without a run."""
    if environment.runner is None or not _options(environment).headless:
        return []
    if not environment.stats.total.num_requests:
        return ["No request was answered."]
    kinds: list[Any] = [kind for kind in environment.user_classes if issubclass(kind, Asking)]
    return [
        f"No request to {kind.route} was answered."
        for kind in kinds
        if environment.runner.final_user_classes_count.get(kind.__name__)
        and not environment.stats.get(kind.route, "POST").num_requests
    ]


def _too_slow(environment: Environment) -> list[str]:
    """The objectives that were missed, by each route by itself: in the sum, the many quick ones hide the slow."""
    objectives = {p: getattr(_options(environment), f"objective_p{p}_ms") for p in PERCENTILES}
    return [
        f"{route.name} missed its objective: p{percentile} is {measured} ms, not {objective:g} ms or less."
        for route in environment.stats.entries.values()
        for percentile, objective in objectives.items()
        if objective is not None and (measured := route.get_response_time_percentile(percentile / 100)) > objective
    ]


def _options(environment: Environment) -> Namespace:
    options = environment.parsed_options
    assert isinstance(options, Namespace)
    return options


hooks: Any = events  # which has no types
hooks.init_command_line_parser.add_listener(add_options)
hooks.init.add_listener(prepare)
hooks.quitting.add_listener(evaluator)
