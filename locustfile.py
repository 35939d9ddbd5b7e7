"""Load tests: `make load`, or `locust` for a page to start them from, or with `--headless`, `--master`, `--worker`.

Each model has users who ask it as real ones do, with rows that no model was trained on where there is a data set.
They look at what they get: an answer that can't be right is a failure. A run ends with a status other than zero if a
request failed, if none was made, or if an objective was missed. Locust's own options say who is asked and by how many
(`--host`, `--users`, `--run-time`), and these are ours, which `locust --help` does not know:

--shape steady|step|spike  how `--users` come and go during `--run-time`; without it, they come and stay
--objective-p95-ms 250     so many milliseconds at the most for 95 % of each route's requests; also p50 and p99
--accept-full              a 429, with which a full service refuses, is no failure: for loads meant to be too much
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


class Asking(FastHttpUser):
    """Someone who asks a model and looks at the answer."""

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
            return  # no answer, or half of one: Locust knows why
        # A 429 is a failure unless one says otherwise: it is no answer, and who gets it has to ask again.
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and self.environment.parsed_options.accept_full:
            self._rejected(response)
        elif response.status_code != HTTPStatus.OK:
            response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
        elif wrong := self.traffic.wrong(rows, response.content):
            response.failure(wrong)
        else:
            response.success()

    def _rejected(self, response: Any) -> None:
        """Count it under a name of its own: it came quickly, and would make the answers look quicker than they are."""
        response.request_meta["name"] = f"{self.route} (full)"
        try:
            Error.model_validate_json(response.content)
        except ValidationError:
            response.failure("429, and not as an error should look")
        else:
            response.success()


def user_of(asked: Traffic) -> type[Asking]:
    """Return the class of the users of a model. It has the name of the model's service."""
    members = {
        "__doc__": f"Users of {asked.name}.",
        "traffic": asked,
        "route": asked.endpoint.path,
        "weight": asked.weight,
        "wait_time": between(*asked.wait_s),
    }
    return type(asked.runner.__name__, (Asking,), members)


USERS = {user.__name__: user for user in map(user_of, every_traffic())}
globals().update(USERS)  # Locust looks for classes of users among the module's names


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


def check_objectives(environment: Environment, **_: Any) -> None:
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
hooks.quitting.add_listener(check_objectives)
