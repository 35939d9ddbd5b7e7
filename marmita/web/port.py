"""The check that the port of a service is free, before any of its processes starts."""

import errno
import socket

from bentoml.exceptions import BentoMLException


def check_free(host: str, port: int) -> None:
    """Raise a `BentoMLException` unless a server can listen on an address."""
    try:
        (family, kind, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BentoMLException(
                f"port {port} of {host} is taken: end what listens there, or choose another port "
                f"(--port {port + 1}, or make serve PORT={port + 1})"
            ) from None
        raise BentoMLException(f"nothing can listen at port {port} of {host}: {error}") from None
