"""Contracts are complete: whoever reads one knows what to send."""

import json

import pytest
from pydantic import BaseModel

from bentos.fetal_health import Exam
from bentos.wine_quality import Wine
from marmita import discovery
from marmita.contract.rows import RowsReader, describe, example, features, rows_request
from marmita.runtime.endpoints import endpoints_of

NAMES = ["fetal_health", "wine_quality", "stock_forecast"]


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_valid(name: str) -> None:
    for endpoint in endpoints_of(discovery.runner(name)).values():
        (sent,) = endpoint.request.model_json_schema()["examples"]
        assert endpoint.request.model_validate_json(json.dumps(sent))


@pytest.mark.parametrize("name", NAMES)
def test_importing_a_contract_needs_no_model(name: str) -> None:
    contract = discovery.runner(name).contract

    assert len(contract["features"]) == {"fetal_health": 21, "wine_quality": 11, "stock_forecast": 60}[name]


@pytest.mark.parametrize("row", [Exam, Wine])
def test_each_feature_is_described_with_unit_and_range(row: type[BaseModel]) -> None:
    for feature in describe(row):
        assert feature["unit"]
        assert feature["description"]
        assert feature["low"] < feature["high"]
        assert feature["low"] <= example(row)[feature["name"]] <= feature["high"]


def test_rows_become_columns_in_the_contracts_order() -> None:
    request = rows_request(Wine, "wines")
    wines = [example(Wine), example(Wine) | {"alcohol": 12.5}]

    array = RowsReader(Wine, request, "wines").validated(request.model_validate({"wines": wines}))

    assert array.shape == (2, 11)
    assert array[1, features(Wine).index("alcohol")] == 12.5
    assert (array[0, :-1] == array[1, :-1]).all()
