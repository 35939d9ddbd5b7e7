"""A port at which something listens is told before any process of a service starts."""

import pytest
from bentoml.exceptions import BentoMLException

from marmita.web.port import check_free
from tests.e2e.server import free_port
from tests.messages import mentions


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_told_with_what_to_do(taken_port: int, host: str) -> None:
    with pytest.raises(BentoMLException) as rejected:
        check_free(host, taken_port)

    assert mentions(str(rejected.value), taken_port, host, f"--port {taken_port + 1}", f"PORT={taken_port + 1}")


def test_a_free_port_is_free_and_stays_it() -> None:
    port = free_port()

    check_free("127.0.0.1", port)
    check_free("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 3000), ("no host", 3000)])
def test_an_address_at_which_nothing_can_listen_is_told(host: str, port: int) -> None:
    with pytest.raises(BentoMLException) as rejected:
        check_free(host, port)

    assert mentions(str(rejected.value), port, host)
    assert str(port + 1) not in str(rejected.value)
