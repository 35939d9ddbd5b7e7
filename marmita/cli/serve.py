"""`marmita serve`: train the models without a champion, and serve all models."""

import argparse
import errno
import json
import os
import shlex
import socket
import sys

from marmita import discovery
from marmita.cli import trainer
from marmita.cli.train import train_missing
from marmita.contract.openapi import example
from marmita.runtime.endpoints import endpoints_of

_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  this opens no socket


def run(options: argparse.Namespace) -> None:
    check_free(options.host, options.port)  # before the training, which takes minutes
    if status := train_missing(discovery.names()):
        sys.exit(status)
    check_free(options.host, options.port)
    print(welcome(options.host, options.port), flush=True)
    if trainer.is_installed() and not options.no_trainer:
        trainer.start_beside()
    command = ["-m", "bentoml", "serve", "--host", options.host, "--port", str(options.port)]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606  there is no shell


def check_free(host: str, port: int) -> None:
    """Raise a ValueError unless a server can listen on an address."""
    try:
        (family, kind, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(
                f"port {port} of {host} is taken: end what listens there, or choose another port "
                f"(make serve PORT={port + 1}, marmita serve --port {port + 1})"
            ) from None
        raise ValueError(f"nothing can listen at port {port} of {host}: {error}") from None


def welcome(host: str, port: int) -> str:
    """Return the message before the service starts: its URL, and a request to try."""
    url = f"http://{'localhost' if host in _ALL_ADDRESSES else host}:{port}"
    said = f"\nServing on {url}: a page to try it at /, what is served at /models. Ctrl-C ends it."
    requests = [
        (endpoint.path, json.dumps(example(endpoint.request)))
        for runner in map(discovery.runner, discovery.names())
        for endpoint in endpoints_of(runner).values()
        if not runner.needs_prices
    ]
    if not requests:
        return f"{said}\n"
    path, body = min(requests, key=lambda request: len(request[1]))
    return f"{said} Try\n\ncurl {url}{path} -H 'Content-Type: application/json' -d {shlex.quote(body)}\n"
