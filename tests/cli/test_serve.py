"""`marmita serve` and `make serve`: on this machine alone unless told otherwise, and never in vain."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from marmita.cli import serve
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import ROOT, environment, free_port, home
from tests.messages import mentions


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens already."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_told_with_what_to_do(taken: int) -> None:
    with pytest.raises(ValueError, match=str(taken)) as raised:
        serve.check_free("127.0.0.1", taken)

    assert mentions(str(raised.value), taken, "127.0.0.1", f"make serve PORT={taken + 1}")


def test_a_free_port_is_free_and_stays_it() -> None:
    port = free_port()

    serve.check_free("127.0.0.1", port)
    serve.check_free("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 3000), ("no host", 3000)])
def test_an_address_at_which_nothing_can_listen_is_told(host: str, port: int) -> None:
    with pytest.raises(ValueError, match=host) as raised:
        serve.check_free(host, port)

    assert mentions(str(raised.value), port, host)
    assert f"PORT={port + 1}" not in str(raised.value)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "marmita", "serve", "--port", "{port}"],
        ["make", "--no-print-directory", "--assume-old=.venv/train", "serve", "PORT={port}"],
    ],
)
def test_a_taken_port_is_one_line_before_anything_is_trained(taken: int, tmp_path: Path, command: list[str]) -> None:
    done = subprocess.run(
        [word.format(port=taken) for word in command],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    first, *others = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert mentions(first, taken, "127.0.0.1", f"PORT={taken + 1}")
    assert all(re.match(r"make(\[\d+\])?: ", line) for line in others)
    assert done.stdout == ""
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("arguments", "address"), [([], "127.0.0.1"), (["HOST=0.0.0.0"], "0.0.0.0")])
def test_it_listens_where_it_says_and_says_when_it_is_ready(
    champions: dict[str, PackedModel], tmp_path: Path, arguments: list[str], address: str
) -> None:
    port, own = free_port(), home(tmp_path / "home")
    with (own / "log").open("wb") as log:
        process = subprocess.Popen(
            ["make", "--assume-old=.venv/train", "serve", f"PORT={port}", *arguments],
            cwd=ROOT,
            env=environment(own) | {"HOST": "a-shell-s-own"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(own / "log", '"ready at ')
        listening = {one.laddr.ip for one in connections(process) if one.status == "LISTEN" and one.laddr.port == port}
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
    finally:
        started = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        psutil.wait_procs(started, 30)
    said = (own / "log").read_text()

    assert listening == {address}
    assert answer.status_code == 200
    shown = f"http://{'localhost' if address == '0.0.0.0' else address}:{port}"
    assert 0 <= said.index(shown) < said.index(f'"ready at {shown}: ')
    (line,) = [line for line in said.splitlines() if '"ready at ' in line]
    assert all(packed.tag in line for packed in champions.values())


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def connections(process: "subprocess.Popen[bytes]") -> list[Any]:
    parent = psutil.Process(process.pid)
    return [one for child in [parent, *parent.children(recursive=True)] for one in child.net_connections("inet")]
