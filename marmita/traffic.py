"""The traffic of the load test: the requests of a model's users, and checks of the answers.

It is derived from the kind of the model and from its contract. A model of another kind has its own class `Traffic` in
the module `traffic` of its folder.
"""

import csv
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import AliasChoices, TypeAdapter, ValidationError

from marmita import discovery
from marmita.contract.csv_dialect import delimiter_of
from marmita.contract.rows import Row, example, features
from marmita.runtime.endpoints import Endpoint, endpoints_of
from marmita.runtime.runner import Runner
from marmita.runtime.tables import Classifier, Regressor, TableRunner
from marmita.training.rows import read_rows, unseen

VARIED_ROWS = 200
SPREAD = 0.2
"""The largest relative difference of a varied row from the contract's example."""

Fields = dict[str, Any]
"""A row of a request."""


class Traffic(ABC):
    """The requests to one route of a model, with the checks of their answers."""

    weight: ClassVar[int]
    """The number of these users relative to those of other models."""
    wait_s: ClassVar[tuple[float, float]]
    """The shortest and the longest wait of a user between two requests."""
    path: ClassVar[str] = ""
    """The path of the route. Empty: the model's only route."""

    def __init__(self, name: str, runner: type[Runner], data: Path) -> None:
        self.name, self.runner = name, runner
        self.endpoint = self._endpoint(runner)
        (self.field,) = self.endpoint.request.model_fields
        self._answers: TypeAdapter[list[Any]] = TypeAdapter(list[self.endpoint.answer])  # type: ignore[name-defined]
        self.read(data)

    @abstractmethod
    def read(self, data: Path) -> None:
        """Read the rows of the requests from the folder of data sets."""

    @abstractmethod
    def rows(self) -> list[Fields]:
        """Return the rows of the next request."""

    @abstractmethod
    def flaw(self, row: Fields, answer: Any) -> str | None:
        """Return the flaw of the answer to a row, or None. Its text has no numbers, as Locust counts equal texts."""

    def wrong(self, rows: list[Fields], body: bytes) -> str | None:
        """Return the first flaw of the answers to these rows, or None."""
        try:
            answers = self._answers.validate_json(body, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            return f"{'.'.join(str(part) for part in first['loc'][1:]) or 'the answers'}: {first['msg']}"
        if len(answers) != len(rows):
            return "not as many answers as rows"
        flaws = (self.flaw(row, answer) or self._flaw_of_tag(answer) for row, answer in zip(rows, answers, strict=True))
        return next((flaw for flaw in flaws if flaw), None)

    def _flaw_of_tag(self, answer: Any) -> str | None:
        model, _, version = answer.model.partition(":")
        return None if model == self.name and version else "the tag is not that of a version of the model"

    def _endpoint(self, runner: type[Runner]) -> Endpoint:
        found = endpoints_of(runner)
        if self.path:
            return found[self.path]
        (only,) = found.values()
        return only


class TableTraffic(Traffic):
    """The traffic of a model on tabular data: held-out rows of its data set, or variations of its example."""

    runner: type[TableRunner]
    rows_per_request: ClassVar[tuple[int, int]]

    def read(self, data: Path) -> None:
        self._known = unseen_rows(self.runner.row, data) or varied_rows(self.runner.row)

    def rows(self) -> list[Fields]:
        return random.choices(self._known, k=random.randint(*self.rows_per_request))  # noqa: S311

    def flaw(self, row: Fields, answer: Any) -> str | None:
        found = self.flaw_of_prediction(answer, getattr(answer, self.runner.target))
        return found or (None if row.keys() >= set(answer.unusual) else "something unusual that was not asked about")

    @abstractmethod
    def flaw_of_prediction(self, answer: Any, predicted: Any) -> str | None:
        """Return the flaw of a prediction, or None."""


class ClassifierTraffic(TableTraffic):
    """The traffic of users who send one row at a time."""

    weight = 6
    wait_s = (0.1, 0.5)
    rows_per_request = (1, 1)

    def flaw_of_prediction(self, answer: Any, predicted: str) -> str | None:
        probabilities: dict[str, float] = answer.probabilities.model_dump()
        if not all(0 <= probability <= 1 for probability in probabilities.values()):
            return "a probability that is none"
        if abs(sum(probabilities.values()) - 1) > 1e-3:
            return "the probabilities don't add up to one"
        if probabilities[predicted] < max(probabilities.values()):
            return f"the {self.runner.target} is not the most probable one"
        return None


class RegressorTraffic(TableTraffic):
    """The traffic of users who send hundreds of rows in one request."""

    runner: type[Regressor]
    weight = 1
    wait_s = (1, 3)
    rows_per_request = (100, 500)

    def flaw_of_prediction(self, answer: Any, predicted: float) -> str | None:
        if not self.runner.low <= predicted <= self.runner.high:
            return f"the {self.runner.target} is none that there can be"
        if not answer.interval.low <= predicted <= answer.interval.high:
            return f"the {self.runner.target} lies outside its interval"
        return flaw_of_coverage(answer.interval.coverage)


KINDS: Mapping[type[Runner], type[Traffic]] = {Classifier: ClassifierTraffic, Regressor: RegressorTraffic}


def every_traffic() -> list[Traffic]:
    """Return the traffic of each model."""
    return [_of_model(name) for name in discovery.names()]


def flaw_of_coverage(coverage: float) -> str | None:
    return None if 0 < coverage < 1 else "a coverage that is none"


def unseen_rows(row: type[Row], data: Path) -> list[Fields]:
    """Return held-out rows of the data set that has all columns of the contract. Empty if there is none."""
    for file in sorted(data.glob("*.csv")):
        with file.open(encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
        delimiter = delimiter_of(first)
        headers = _headers(row, next(csv.reader([first], delimiter=delimiter), []))
        if len(headers) == len(row.model_fields):
            known = unseen(read_rows(file, features(row), headers, delimiter))
            return [dict(one) for one in known if _is_valid(row, one)]
    return []


def varied_rows(row: type[Row]) -> list[Fields]:
    """Return random variations of the contract's example, within its bounds."""
    low_high = {name: _bounds(field.metadata) for name, field in row.model_fields.items()}

    def varied(name: str, value: float) -> float:
        low, high = low_high[name]
        spread = SPREAD * abs(value) or (high - low) / 100
        return min(max(value + random.uniform(-spread, spread), low), high)  # noqa: S311

    return [{name: varied(name, value) for name, value in example(row).items()} for _ in range(VARIED_ROWS)]


def _of_model(name: str) -> Traffic:
    runner = discovery.runner(name)
    own: type[Traffic] | None = discovery.traffic(name)
    of_kind = (traffic for kind, traffic in KINDS.items() if issubclass(runner, kind))
    if (found := own or next(of_kind, None)) is None:
        raise discovery.DiscoveryError(
            f"{discovery.PACKAGE}/{name} is no classifier and no regressor: "
            f"{discovery.PACKAGE}/{name}/traffic.py must hold a class Traffic, which says how the load test asks it"
        )
    return found(name, runner, discovery.data())


def _headers(row: type[Row], columns: list[str]) -> dict[str, str]:
    """Return the column of each feature, found by the feature's name or one of its aliases."""
    found: dict[str, str] = {}
    for name, field in row.model_fields.items():
        alias = field.validation_alias
        names = [name, *(alias.choices if isinstance(alias, AliasChoices) else [])]
        found.update((name, str(one)) for one in names if one in columns)
    return found


def _is_valid(row: type[Row], fields: Mapping[str, Any]) -> bool:
    try:
        row.model_validate(fields)
    except ValidationError:
        return False
    return True


def _bounds(metadata: list[Any]) -> tuple[float, float]:
    low = next(one.ge for one in metadata if hasattr(one, "ge"))
    high = next(one.le for one in metadata if hasattr(one, "le"))
    return low, high
