"""Load tests: `make load`, or `locust` for its web page, or `locust` with `--headless`, `--master` or `--worker`.

Each model has users that send realistic requests, with held-out rows where there is a data set. They check the answers,
and an impossible answer is a failure. The exit status is not zero if a request failed, if a route answered none, or if
an objective was missed. Locust's own options set the target and the load (`--host`, `--users`, `--run-time`). These
options are ours, and `locust --help` does not show them:

--shape steady|step|spike  the number of users over `--run-time`, as a share of `--users`; by default all of them
--objective-p95-ms 250     the largest p95 of each route, in milliseconds; p50 and p99 have the same option
--accept-full              do not count a 429 of an overloaded service as a failure
"""

import logging
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
from pydantic import ValidationError

from marmita.contract.answers import Error
from marmita.traffic import Fields, Traffic, every_traffic

PERCENTILES = (50, 95, 99)
READY_S = 10
SHAPE_S = 60


class ModelUser(FastHttpUser):
    """A user who sends requests to a model and checks the answers."""

    abstract = True
    host = "http://localhost:3000"
    traffic: ClassVar[Traffic]
    route: ClassVar[str]

    def on_start(self) -> None:
        self.client.base_url = (self.client.base_url or "").rstrip("/")

    @task
    def ask(self) -> None:
        rows = self.traffic.rows()
        with self.client.post(self.route, json={self.traffic.field: rows}, catch_response=True) as response:
            self._check(rows, response)

    def _check(self, rows: list[Fields], response: Any) -> None:
        if response.request_meta["exception"] and response.status_code in (0, HTTPStatus.OK):
            return  # no answer, or an incomplete one: Locust reports it
        # A 429 is a failure by default, because the caller has to retry.
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and self.environment.parsed_options.accept_full:
            self._rejected(response)
        elif response.status_code != HTTPStatus.OK:
            response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
        elif wrong := self.traffic.wrong(rows, response.content):
            response.failure(wrong)
        else:
            response.success()

    def _rejected(self, response: Any) -> None:
        """Count a 429 under its own name, as its short response time would distort that of the route."""
        response.request_meta["name"] = f"{self.route} (full)"
        try:
            Error.model_validate_json(response.content)
        except ValidationError:
            response.failure("429 with a body that is not an error's")
        else:
            response.success()


def user_of(asked: Traffic) -> type[ModelUser]:
    """Return the user class of a model, named after the model's service."""
    members = {
        "__doc__": f"Users of {asked.name}.",
        "traffic": asked,
        "route": asked.endpoint.path,
        "weight": asked.weight,
        "wait_time": between(*asked.wait_s),
    }
    return type(asked.runner.__name__, (ModelUser,), members)


USERS = {user.__name__: user for user in map(user_of, every_traffic())}
globals().update(USERS)  # Locust finds user classes among the module's names


class Shape(LoadTestShape):
    """The number of users over the run time.

    Locust uses the first shape that it finds, so `prepare` removes it unless `--shape` is set. On the web page,
    `--class-picker` offers all shapes.
    """

    abstract = True
    use_common_options = True
    stages: ClassVar[list[tuple[float, float]]]
    """Pairs of the end of a stage, as a share of `--run-time`, and its users, as a share of `--users`."""

    def tick(self) -> tuple[int, float] | None:
        assert self.runner
        options = _options(self.runner.environment)
        passed: float = self.get_run_time()  # type: ignore[no-untyped-call]
        progress = passed / (options.run_time or SHAPE_S)
        share = next((share for until, share in self.stages if progress < until), None)
        if share is None:
            return None
        # Spawn all users at once: with a slow `--spawn-rate`, Locust would skip stages.
        most = options.num_users or 1
        return max(1, round(share * most)), most


class Steady(Shape):
    """All users for the whole run."""

    stages: ClassVar = [(1.0, 1.0)]


class Step(Shape):
    """A growing number of users, which shows at what load the service becomes slow."""

    stages: ClassVar = [(0.2, 0.2), (0.4, 0.4), (0.6, 0.6), (0.8, 0.8), (1.0, 1.0)]


class Spike(Shape):
    """A short peak of users, which shows whether the service recovers."""

    stages: ClassVar = [(0.4, 0.1), (0.6, 1.0), (1.0, 0.1)]


SHAPES: dict[str, type[Shape]] = {"steady": Steady, "step": Step, "spike": Spike}


def add_options(parser: LocustArgumentParser) -> None:
    """Add our options in a group, which hides them from the web page, where Locust would ignore a shape."""
    ours = parser.add_argument_group("Marmita")
    ours.add_argument("--shape", choices=list(SHAPES), env_var="LOCUST_SHAPE")
    for percentile in PERCENTILES:
        variable = f"LOCUST_OBJECTIVE_P{percentile}_MS"
        ours.add_argument(f"--objective-p{percentile}-ms", type=float, env_var=variable)
    ours.add_argument("--accept-full", action="store_true", env_var="LOCUST_ACCEPT_FULL")


def prepare(environment: Environment, **_: Any) -> None:
    """Set the shape of `--shape`. Exit if the run is headless and the service is not ready."""
    if isinstance(environment.runner, WorkerRunner):
        return  # the master decides
    options = _options(environment)
    environment.shape_class = SHAPES[options.shape]() if options.shape else None
    if environment.shape_class:
        environment.shape_class.runner = environment.runner
    if options.headless and (why_not := _not_ready((environment.host or ModelUser.host).rstrip("/"))):
        sys.exit(why_not)


def check_objectives(environment: Environment, **_: Any) -> None:
    """Fail the run if an objective was missed. Locust itself handles failed requests.

    The master has the workers' statistics when it quits.
    """
    if isinstance(environment.runner, WorkerRunner):
        return
    missed = [*_routes_without_answers(environment), *_too_slow(environment)]
    if missed:
        environment.process_exit_code = 1
        # Logged on quit, after Locust's tables, where it is seen.
        hooks.quit.add_listener(lambda **_: logging.getLogger(__name__).error(" ".join(missed)))


def _not_ready(host: str) -> str | None:
    no_listeners: Any = EventHook
    client = FastHttpSession(host, no_listeners(), None, network_timeout=READY_S, connection_timeout=READY_S)
    answer: Any = client.get("/readyz")
    if answer.status_code == 0:
        return f"No answer from {host} ({answer.error}): start the service with `make serve`, or set --host."
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"The service at {host} is not ready: it answers /readyz with {answer.status_code}."
    return None


def _routes_without_answers(environment: Environment) -> list[str]:
    """Return an error for each route without an answer, if the run is headless."""
    if environment.runner is None or not _options(environment).headless:
        return []
    if not environment.stats.total.num_requests:
        return ["No request was answered."]
    kinds: list[Any] = [kind for kind in environment.user_classes if issubclass(kind, ModelUser)]
    return [
        f"No request to {kind.route} was answered."
        for kind in kinds
        if environment.runner.final_user_classes_count.get(kind.__name__)
        and not environment.stats.get(kind.route, "POST").num_requests
    ]


def _too_slow(environment: Environment) -> list[str]:
    """Return an error for each missed objective of a route. In a total, many fast requests would hide slow ones."""
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
hooks.quitting.add_listener(check_objectives)
