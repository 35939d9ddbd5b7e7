"""Errors have one shape, whoever raised them."""

import json
import re
from http import HTTPStatus
from typing import Any

import pytest
from bentoml.exceptions import BentoMLException, InternalServerError, InvalidArgument, NotFound, ServiceUnavailable
from pydantic import Field, ValidationError

from marmita.contract.answers import Error
from marmita.contract.errors import ErrorCode, RequestError, error_reply, status_reply
from marmita.contract.requests import Strict

FAULT = "an unexpected error, see the server's log"


class Sample(Strict):
    age: int = Field(ge=0)


class Samples(Strict):
    samples: list[Sample] = Field(max_length=30)


def invalid(content: object) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        Samples.model_validate(content)
    return error.value


def told(error: Exception, in_full: bool = True) -> tuple[int, dict[str, Any]]:
    reply = error_reply(error, in_full)
    assert reply.content_type == b"application/json"
    return reply.status, json.loads(reply.body)


def test_an_error_is_told_with_its_details_or_without() -> None:
    detail = {"loc": ["a", 0], "msg": "not so", "type": "x"}
    error = RequestError(ErrorCode.NOT_FOUND, "not so", [detail], ((b"allow", b"GET"),))

    assert told(error) == (404, {"error": "not so", "code": "not_found", "detail": [detail]})
    assert told(error, in_full=False) == (404, {"error": "not so"})
    assert error_reply(error).headers == ((b"allow", b"GET"),)


@pytest.mark.parametrize(("status", "again"), [(400, False), (413, False), (429, True), (500, False), (503, True)])
def test_who_may_try_again_is_told_when(status: int, again: bool) -> None:
    headers = error_reply(RequestError(ErrorCode.of(status), "not now")).headers

    assert headers == (((b"retry-after", b"1"),) if again else ())
    assert status_reply(status).headers == headers


def test_of_a_status_alone_its_name_is_told() -> None:
    reply = status_reply(404, ((b"x-own", b"1"),))

    assert (reply.status, reply.headers) == (404, ((b"x-own", b"1"),))
    assert json.loads(reply.body) == {"error": "Not Found", "code": "not_found", "detail": []}


def test_what_pydantic_found_is_told_by_its_place_and_without_what_was_sent() -> None:
    status, content = told(invalid({"samples": [{"age": 1}, {"age": -4711}]}))

    assert status == 400
    assert content["error"] == "samples[1].age: Input should be greater than or equal to 0"
    assert content["detail"] == [
        {
            "loc": ["samples", 1, "age"],
            "msg": "Input should be greater than or equal to 0",
            "type": "greater_than_equal",
        }
    ]
    assert "4711" not in json.dumps(content)


def test_what_is_wrong_with_the_whole_is_wrong_with_the_body() -> None:
    assert told(invalid([]))[1]["error"].startswith("body: ")


def test_no_more_details_than_help_are_told_but_all_are_counted() -> None:
    _, content = told(invalid({"samples": [{"age": -1}] * 30}))

    assert len(content["detail"]) == 20
    assert content["error"].endswith("(and 29 more)")


def test_an_endless_name_is_shortened() -> None:
    _, content = told(invalid({"samples": [], "x" * 10_000: 1}))

    assert content["detail"][0]["loc"] == ["x" * 99 + "…"]
    assert len(content["error"]) < 200


def test_too_many_are_too_much() -> None:
    status, content = told(invalid({"samples": [{"age": 1}] * 31}))

    assert (status, content["code"]) == (413, "too_many_items")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidArgument("a"), 400, "invalid_request"),
        (NotFound("a"), 404, "not_found"),
        (BentoMLException("a", error_code=HTTPStatus.CONFLICT), 409, "conflict"),
        (BentoMLException("a", error_code=HTTPStatus.GONE), 410, "invalid_request"),
        (ServiceUnavailable("a"), 503, "model_unavailable"),
    ],
)
def test_what_bentoml_says_of_a_request_is_told(error: Exception, status: int, code: str) -> None:
    assert told(error) == (status, {"error": "a", "code": code, "detail": []})


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_told_with_its_status_as_the_document_has_it(code: ErrorCode) -> None:
    status, content = told(RequestError(code, "not so"))

    assert re.fullmatch("[a-z]+(_[a-z]+)*", code)
    assert (status, content["code"]) == (code.status, code.value)
    assert Error.model_validate(content).code is code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ErrorCode.INVALID_REQUEST),
        (404, ErrorCode.NOT_FOUND),
        (413, ErrorCode.BODY_TOO_LARGE),
        (418, ErrorCode.INVALID_REQUEST),
        (500, ErrorCode.INTERNAL),
        (501, ErrorCode.INTERNAL),
        (503, ErrorCode.MODEL_UNAVAILABLE),
        (504, ErrorCode.DEADLINE_EXCEEDED),
    ],
)
def test_a_status_alone_has_a_code_too(status: int, code: ErrorCode) -> None:
    assert ErrorCode.of(status) is code
    assert json.loads(status_reply(status).body)["code"] == code


def test_the_document_lists_all_codes() -> None:
    schema = Error.model_json_schema()

    assert schema["$defs"]["ErrorCode"]["enum"] == [code.value for code in ErrorCode]
    assert set(schema["required"]) == {"error", "code", "detail"}


@pytest.mark.parametrize(
    "error", [RuntimeError("a secret"), InternalServerError("a secret"), BentoMLException("a secret")]
)
def test_what_is_no_fault_of_the_request_is_logged_and_not_told(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert told(error) == (500, {"error": FAULT, "code": "internal", "detail": []})
    assert told(error, in_full=False) == (500, {"error": FAULT})
    assert "a secret" in caplog.text
