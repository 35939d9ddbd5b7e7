"""`marmita serve` and `make serve`: on this machine alone unless told otherwise, and never in vain."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from marmita.registry.packed_model import PackedModel
from tests.e2e.server import ROOT, environment, free_port, home
from tests.messages import mentions


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "marmita", "serve", "--port", "{port}"],
        ["make", "--no-print-directory", "--assume-old=.venv/train", "serve", "PORT={port}"],
    ],
)
def test_a_taken_port_is_one_line_before_anything_is_trained(
    taken_port: int, tmp_path: Path, command: list[str]
) -> None:
    done = subprocess.run(
        [word.format(port=taken_port) for word in command],
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
    assert mentions(first, taken_port, "127.0.0.1", f"PORT={taken_port + 1}")
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
