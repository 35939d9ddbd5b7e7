"""`POST /models/{name}/predict`: predictions of table models, in JSON and CSV."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool

from marmita.api.operations import parameters, query_parameter
from marmita.api.scored_csv import CsvRows, write_scored
from marmita.contract import csv_table
from marmita.contract.answers import Error
from marmita.contract.columns import columns_of
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.openapi import ERRORS, Inference, errors, reference
from marmita.contract.replies import JSON, Call, Handler, Reply, Route, RouteTemplate
from marmita.contract.tables import ROWS, TableClass, TableValue, example_of, request_class, row_class
from marmita.oip.columns import example_tensors
from marmita.registry.packed_model import PackedModel
from marmita.registry.tables import NAMES, TableStore
from marmita.runtime.table_model import TableModel
from marmita.runtime.table_models import TableModels

CSV = b"text/csv"
JSON_OR_CSV = (JSON, CSV)
ANSWERS = (TableClass, TableValue)
EXTRA = query_parameter(
    "extra", "What to do with columns that the model does not need", "ignore", required=False, enum=["error", "ignore"]
)
PREDICT = "/models/{name}/predict"
PREDICT_VERSION = "/models/{name}/versions/{version}/predict"

_encode = msgspec.json.Encoder().encode


def templates(models: TableModels) -> list[RouteTemplate]:
    """Return the typed routes of table models."""

    def predict(name: str, version: str = "") -> Route:
        return Route("POST", _predictor(models, name, version), JSON_OR_CSV)

    return [RouteTemplate(path, NAMES, predict) for path in (PREDICT, PREDICT_VERSION)]


@lru_cache(maxsize=256)
def _inference(packed: PackedModel) -> Inference:
    columns = columns_of(packed.contract)
    name, row = packed.name, example_of(columns)
    return Inference(
        model=name,
        path=PREDICT.format(name=name),
        operation=f"predict_{name}",
        about=packed.card.about,
        request=request_class(row_class(name, columns), columns),
        answer=TableClass if "classes" in packed.contract else TableValue,
        csv=csv_table.write([*row], [["" if cell is None else cell for cell in row.values()]], ",").decode(),
        tensors=example_tensors(columns),
    )


def inferences(store: TableStore) -> list[Inference]:
    """Return the typed routes of all table models for OpenAPI."""
    found = (store.champion(name) for name in store.names())
    return [_inference(packed) for packed in found if packed]


def document() -> dict[str, Any]:
    """Return the path items of OpenAPI for any table model. Those that are served have items of their own, too."""
    rows = {"type": "array", "items": {"type": "object"}, "description": "Values by column"}
    json = {"schema": {"type": "object", "properties": {ROWS: rows}, "required": [ROWS]}}
    csv: dict[str, Any] = {"schema": {"type": "string"}}
    answers = {"anyOf": [{"type": "array", "items": reference(answer)} for answer in ANSWERS]}
    content = {"application/json": {"schema": answers}, "text/csv": csv}
    operation = {
        "tags": ["models"],
        "requestBody": {"required": True, "content": {"application/json": json, "text/csv": csv}},
        "responses": {
            "200": {"description": "One answer for each row, in the rows' order.", "content": content},
            **errors(ERRORS | {HTTPStatus.NOT_FOUND: "There is no such table model."}, Error.__name__),
        },
    }
    about = {PREDICT: "Predict with a table model", PREDICT_VERSION: "Predict with one version of a table model"}
    names = {PREDICT: "predict", PREDICT_VERSION: "predict_version"}
    return {
        path: {
            "post": operation
            | {"operationId": names[path], "summary": summary, "parameters": [*_path_parameters(path), EXTRA]}
        }
        for path, summary in about.items()
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{pattern}$"}}
        for name, pattern in NAMES.items()
        if f"{{{name}}}" in path
    ]


def _predictor(models: TableModels, name: str, version: str) -> Handler:
    async def predict(call: Call) -> Reply:
        model = await models.get(name, version)
        ignore = _ignores_extra(call)
        if call.headers.get(b"content-type", JSON).lower().startswith(CSV):
            return await _score_csv(model, call, ignore)
        rows = model.read(call.body, extra=ignore)
        answers = await model.answer(rows)
        if not _wants_csv(call):
            return Reply(200, _encode(answers))
        header = [column.name for column in model.columns]
        given = [[row.get(name) for name in header] for row in from_json(call.body)[ROWS]]
        return _csv_reply(model, header, given, answers, ",")

    return predict


async def _score_csv(model: TableModel, call: Call, ignore: bool) -> Reply:
    table = csv_table.read(call.body)
    rows = await run_in_threadpool(CsvRows.read, table, model.columns, ignore_extra=ignore)
    if not _wants_csv(call):
        rows.check()
        return Reply(200, _encode(await model.answer(model.encode(rows.columns))))
    answered = iter(await model.answer(model.encode(rows.columns)) if rows.valid else [])
    answers = [error or next(answered) for error in rows.errors]
    return _csv_reply(model, table.header, table.rows, answers, table.delimiter)


def _csv_reply(
    model: TableModel,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    answers: Sequence[Mapping[str, Any] | str],
    delimiter: str,
) -> Reply:
    content = write_scored(header, rows, answers, model.answer_columns, model.answer_cells, delimiter)
    return Reply(200, content, b"text/csv; charset=utf-8")


def _wants_csv(call: Call) -> bool:
    return CSV in call.headers.get(b"accept", b"").lower()


def _ignores_extra(call: Call) -> bool:
    """Tell whether columns that the model does not need are ignored."""
    if not call.scope["query_string"]:
        return False
    given = parameters(call).get("extra", "error")
    if given not in ("error", "ignore"):
        raise RequestError(ErrorCode.INVALID_REQUEST, "extra must be error or ignore")
    return given == "ignore"
