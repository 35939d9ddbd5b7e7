"""Keys for the routes that change something."""

import logging

import pytest

from marmita.api.auth import ApiKeys
from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.replies import Call

OLD, NEW = "the-old-key-of-the-lab", "the-new-key-of-the-lab"


def request(authorization: str | None = None) -> Call:
    headers = {} if authorization is None else {b"authorization": authorization.encode("latin-1")}
    return Call({"type": "http"}, headers, b"")


def test_where_there_are_no_keys_nobody_needs_one() -> None:
    ApiKeys([]).check(request())
    ApiKeys([]).check(request("Bearer anything"))


@pytest.mark.parametrize("given", [f"Bearer {OLD}", f"Bearer {NEW}", f"bearer   {NEW} "])
def test_each_of_several_keys_is_good(given: str) -> None:
    ApiKeys([OLD, NEW]).check(request(given))


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", f"Basic {NEW}", NEW, f"Bearer {NEW[:-1]}", f"Bearer {NEW}x", "Bearer \xff"]
)
def test_who_has_none_is_refused(given: str | None) -> None:
    with pytest.raises(RequestError) as refused:
        ApiKeys([OLD, NEW]).check(request(given))

    assert refused.value.status == 401
    assert refused.value.headers == ((b"www-authenticate", b"Bearer"),)
    assert NEW not in refused.value.error


@pytest.mark.parametrize(
    ("keys", "addresses", "warned"),
    [
        ([], ["0.0.0.0"], True),
        ([], ["127.0.0.1", "::"], True),
        ([], ["10.1.2.3"], True),
        ([], ["127.0.0.1", "::1"], False),
        ([], [], False),
        ([NEW], ["0.0.0.0"], False),
    ],
)
def test_it_is_said_when_anybody_may_change_something(
    keys: list[str], addresses: list[str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        ApiKeys(keys).warn_if_open(addresses)

    assert any("MARMITA_API_KEYS" in record.getMessage() for record in caplog.records) == warned


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://behind.a.proxy"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "https://page.example"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://house:81"}, False),
        ({"origin": "http://house:3000"}, True),
        ({"origin": "http://page.example"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://allowed.example"}, True),
    ],
)
def test_a_form_comes_from_a_page_of_the_service_or_from_none(headers: dict[str, str], allowed: bool) -> None:
    given = {name.encode(): value.encode() for name, value in {"host": "house:3000", **headers}.items()}
    form = Call({"type": "http"}, given, b"")
    keys = ApiKeys([], lambda origin: origin == "https://allowed.example")

    if allowed:
        keys.check_origin(form)
    else:
        with pytest.raises(RequestError) as rejected:
            keys.check_origin(form)
        assert rejected.value.code is ErrorCode.CROSS_ORIGIN
    ApiKeys([NEW]).check_origin(form)  # no page of another origin knows a key
