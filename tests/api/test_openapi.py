"""The names of a document's classes."""

from typing import Any

import pytest
from bentoml.exceptions import BentoMLConfigException

from marmita.api import openapi
from marmita.contract.openapi import Inference
from marmita.contract.rows import Row, feature
from marmita.runtime.endpoints import endpoints_of
from marmita.runtime.tables import Regressor, serves
from tests.messages import mentions


def inference(name: str, row: str) -> Inference:
    """The route of a regressor. Each has a module of its own."""
    fields = {"size": feature("Size", unit="m", low=0, high=9, example=1), "__annotations__": {"size": float}}
    taken = type(row, (Row,), {"__doc__": "One row.", "__module__": name, **fields})
    members = {"__doc__": "Predict.", "__module__": name, "low": 0, "high": 1}
    runner: Any = serves(taken, route=f"/{name}/predict", rows="rows")(type(name.title(), (Regressor,), members))
    (one,) = endpoints_of(runner).values()
    return Inference(name, one.path, one.operation, one.about, one.request, one.answer, one.many)


def test_rows_of_two_models_may_go_by_the_same_field() -> None:
    document = openapi.build("Trees", "", "1", [inference("oak", "OakRow"), inference("elm", "ElmRow")], [])

    assert {"OakRows", "ElmRows", "OakRowValue", "ElmRowValue"} <= set(document.content["components"]["schemas"])


def test_rows_of_one_name_are_told() -> None:
    both = [inference("ash", "Tree"), inference("fir", "Tree")]

    with pytest.raises(BentoMLConfigException) as rejected:
        openapi.build("Trees", "", "1", both, [])

    assert mentions(str(rejected.value), "TreeValue", "ash", "fir")
