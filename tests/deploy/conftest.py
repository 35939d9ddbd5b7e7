"""What the tests of the deployment share: programs that a host may lack, and processes that run for a while."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
import yaml

from tests.e2e.server import ROOT

DEPLOY = ROOT / "deploy"


def missing(part: str) -> NoReturn:
    """Skip a test whose part this host lacks. In CI nothing may be lacking."""
    if os.environ.get("CI"):
        pytest.fail(f"{part} is missing")
    pytest.skip(f"{part} is missing")


def program(part: str, *names: str) -> str:
    """The path of a part's program, under the first of these names that there is."""
    for name in names:
        if path := shutil.which(name):
            return path
    missing(part)


def run(*command: str, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed, and give back what it said."""
    variables = os.environ | (environment or {})
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@contextmanager
def running(command: list[str], ready: str, log: Path, within_s: float = 30) -> Iterator[None]:
    """Run a program until the block ends. The block starts when the program says that it is ready."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + within_s
        while not answers(ready):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
