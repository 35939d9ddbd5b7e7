"""Runners for models on tabular data: a classifier or a regressor declares its row and its target."""

import inspect
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from pydantic import Field, create_model
from pydantic_core import to_json

from marmita.contract.answers import Answer, Interval, PredictionId
from marmita.contract.rows import Floats, Row, RowsReader, describe, example, features, rows_request
from marmita.records.quality.evaluators import ClassEvaluator, Evaluator, ValueEvaluator
from marmita.registry.startup import StartupModel
from marmita.runtime.endpoints import Endpoint, api
from marmita.runtime.loaded_model import Predicted
from marmita.runtime.runner import Runner, model_name

_DIGITS = {"probability": 6, "value": 4}

T = TypeVar("T", bound="TableRunner")


class TableRunner(Runner):
    """The base of runners that answer each row of a table."""

    row: ClassVar[type[Row]]
    target: ClassVar[str]
    """The name of the answer's field for the predicted value."""
    about_target: ClassVar[str]
    answer_name: ClassVar[str] = ""
    """The name of the answer in OpenAPI. Default: the name of the row followed by that of the target."""

    async def answer_rows(self, rows: Floats) -> list[dict[str, Any]]:
        """Answer each row, and name its features that are outside the range seen in training."""
        predicted = await self.run(rows)
        unusual = self._count(rows, predicted)
        return predicted.identify(self._answers(predicted, unusual))

    @abstractmethod
    def _answers(self, predicted: Predicted, unusual: Sequence[list[str]]) -> list[dict[str, Any]]:
        """Return the answer to each row."""

    @classmethod
    @abstractmethod
    def make_evaluator(cls, model: str) -> Evaluator:
        """Return the evaluator of this model's predictions."""

    @classmethod
    def answer_contract(cls) -> dict[str, Any]:
        """Return the part of the answer that belongs to the contract."""
        return {}

    @classmethod
    @abstractmethod
    def answer_fields(cls) -> dict[str, Any]:
        """Return the fields of the answer that are specific to this kind of model."""


class Classifier(TableRunner):
    """A model that gives the probability of each class."""

    target = "class"
    about_target = "The most probable class"
    classes: ClassVar[Sequence[str]]
    """The classes in the order of the model's outputs."""

    def _answers(self, predicted: Predicted, unusual: Sequence[list[str]]) -> list[dict[str, Any]]:
        probabilities = np.round(predicted.outputs.astype(float), _DIGITS["probability"]).tolist()
        target, classes, model = self.target, self.classes, predicted.by.tag
        bests = self.outcomes(predicted.outputs, predicted.outputs)
        return [
            {target: best, "probabilities": dict(zip(classes, each, strict=True)), "unusual": names, "model": model}
            for best, each, names in zip(bests, probabilities, unusual, strict=True)
        ]

    def outcomes(self, _rows: Floats, outputs: Floats) -> list[str]:
        return [self.classes[best] for best in outputs.argmax(axis=1).tolist()]

    @classmethod
    def answer_contract(cls) -> dict[str, Any]:
        return {"classes": list(cls.classes)}

    @classmethod
    def make_evaluator(cls, model: str) -> Evaluator:
        return ClassEvaluator(model, features(cls.row), cls.classes)

    @classmethod
    def answer_fields(cls) -> dict[str, Any]:
        each: dict[str, Any] = dict.fromkeys(cls.classes, (float, ...))
        probabilities = create_model(
            f"{cls.row.__name__}Probabilities",
            __base__=Answer,
            __module__=cls.__module__,
            __doc__="How probable each class is. They add up to one.",
            **each,
        )
        return {
            cls.target: (Literal[tuple(cls.classes)], Field(description=cls.about_target)),
            "probabilities": (probabilities, ...),
        }


class Regressor(TableRunner):
    """A model that gives a number with the two ends of its interval."""

    target = "value"
    about_target = "The predicted value"
    low: ClassVar[float]
    high: ClassVar[float]
    """The maximum of a label's value; `low` is the minimum."""

    def _answers(self, predicted: Predicted, unusual: Sequence[list[str]]) -> list[dict[str, Any]]:
        values = np.round(predicted.outputs.astype(float), _DIGITS["value"]).tolist()
        coverage, target, model = predicted.by.reference["coverage"], self.target, predicted.by.tag
        return [
            {
                target: value,
                "interval": {"low": low, "high": high, "coverage": coverage},
                "unusual": names,
                "model": model,
            }
            for (value, low, high), names in zip(values, unusual, strict=True)
        ]

    def outcomes(self, _rows: Floats, outputs: Floats) -> list[str]:
        values = np.round(outputs[:, 0].astype(float), _DIGITS["value"])
        return list(map(str, values.round().astype(int).tolist()))

    @classmethod
    def make_evaluator(cls, model: str) -> Evaluator:
        return ValueEvaluator(model, features(cls.row), cls.target, cls.low, cls.high)

    @classmethod
    def answer_fields(cls) -> dict[str, Any]:
        return {cls.target: (float, Field(description=cls.about_target)), "interval": (Interval, ...)}


def serves(row: type[Row], *, route: str, rows: str, operation: str = "") -> Callable[[type[T]], type[T]]:
    """Make a class the runner of a model that takes these rows.

    `rows` names the request's field for the rows. `operation` is the route's name in OpenAPI; its default is the last
    word of the route followed by the model's name.
    """

    def decorate(service_class: type[T]) -> type[T]:
        model = model_name(service_class)
        service_class.row = row
        service_class.contract = contract = {"features": describe(row), **service_class.answer_contract()}
        service_class.model = StartupModel(model, contract)
        service_class.evaluator = service_class.make_evaluator(model)
        endpoint = _endpoint(service_class, route, rows, operation or f"{_last_word(route)}_{model}")
        service_class.sample = endpoint.read(to_json({rows: [example(row)]}))
        setattr(service_class, endpoint.operation, api(endpoint))
        return service_class

    return decorate


def _endpoint(service_class: type[TableRunner], route: str, rows: str, operation: str) -> Endpoint:
    request = rows_request(service_class.row, rows)
    read = RowsReader(service_class.row, request, rows)
    return Endpoint(
        path=route,
        operation=operation,
        about=inspect.cleandoc(service_class.__doc__ or operation),
        request=request,
        answer=_answer(service_class),
        many=True,
        handle=service_class.answer_rows,
        read=read,
        take=read.validated,
    )


def _answer(service_class: type[TableRunner]) -> type[Answer]:
    name = service_class.answer_name or f"{service_class.row.__name__}{service_class.target.capitalize()}"
    unusual = Field(description="Features outside the range seen in training: take the answer with care")
    model = Field(description="The version that answered", examples=[f"{model_name(service_class)}:xf2cl6wbqsz7aaav"])
    fields: dict[str, Any] = {
        **service_class.answer_fields(),
        "unusual": (list[str], unusual),
        "model": (str, model),
        "id": (PredictionId, None),
    }
    about = f"The answer to one row: {service_class.about_target[:1].lower()}{service_class.about_target[1:]}."
    made: type[Answer] = create_model(
        name, __base__=Answer, __module__=service_class.__module__, __doc__=about, **fields
    )
    return made


def _last_word(route: str) -> str:
    return route.rpartition("/")[2].replace("-", "_")
