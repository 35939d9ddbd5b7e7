"""`marmita serve`: train the models without a champion, and serve all models."""

import argparse
import json
import os
import shlex
import sys

from marmita import discovery
from marmita.cli import trainer
from marmita.cli.train import train_missing
from marmita.contract.openapi import example
from marmita.runtime.endpoints import endpoints_of
from marmita.web.port import check_free

_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104  this opens no socket


def run(options: argparse.Namespace) -> None:
    check_free(options.host, options.port)  # before the training, which takes minutes
    if status := train_missing(discovery.names()):
        sys.exit(status)
    print(welcome(options.host, options.port), flush=True)
    if trainer.is_installed() and not options.no_trainer:
        trainer.start_beside()
    command = ["-m", "bentoml", "serve", "--host", options.host, "--port", str(options.port)]
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606  there is no shell


def welcome(host: str, port: int) -> str:
    """Return the message before the service starts: its URL, and a request to try."""
    url = f"http://{'localhost' if host in _ALL_ADDRESSES else host}:{port}"
    said = f"\nServing on {url}: the page / and the JSON of /models list the models. Ctrl-C ends it."
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
