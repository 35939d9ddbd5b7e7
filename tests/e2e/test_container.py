"""The image: lean, locked down, ready at once, and never half dead."""

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from marmita.registry.packed_model import PackedModel
from tests.e2e.crowd import REFUSED, crowd
from tests.e2e.server import BENTOML, ROOT, environment, free_port, home
from tests.messages import mentions
from tests.records.stocks import FIRST, TICKER, days, walk
from tests.samples import REQUESTS, SCORE, wines
from tests.training.yahoo import Yahoo, serving

MIB = 1024 * 1024
ENGINE = os.environ.get("BENTOML_CONTAINERIZE_BACKEND", "docker")
BASE = "python:3.11-slim"

pytestmark = pytest.mark.timeout(600)


def engine(*arguments: str) -> str:
    done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def usable() -> bool:
    return shutil.which(ENGINE) is not None and not subprocess.run([ENGINE, "info"], capture_output=True).returncode


def untagged() -> set[str]:
    """Images without a name."""
    return set(engine("images", "--quiet", "--filter", "dangling=true").split())


@pytest.fixture(scope="module")
def image(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of the Bento, made by the plain command."""
    if not usable() and "CI" not in os.environ:
        pytest.skip(f"no container engine: {ENGINE} does not answer")
    before = untagged()
    folder = home(tmp_path_factory.mktemp("image") / "home")
    name = f"marmita-test-{os.getpid()}:latest"
    build = [BENTOML, "build", "--output", "tag"]
    containerize = [BENTOML, "containerize", "marmita:latest", "-t", name]
    if ENGINE in ("podman", "buildah"):
        containerize += ["--opt", "format=docker"]
    for command, where in ((build, ROOT), (containerize, Path("/"))):
        done = subprocess.run(command, cwd=where, env=environment(folder), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    yield name
    engine("rmi", "--force", name)
    for left in untagged() - before:  # the stage in which packages were installed
        engine("rmi", "--force", left)


@pytest.fixture(scope="module")
def yahoo() -> Iterator[Yahoo]:
    with serving(Yahoo(walk(100))) as stub:
        yield stub


@pytest.fixture(scope="module")
def container(image: str, yahoo: Yahoo) -> Iterator[tuple[str, str, float]]:
    """A container without any privilege: its name, its URL, and the seconds until it was ready."""
    name, port = f"marmita-test-{os.getpid()}", free_port()
    start = time.monotonic()
    settings = {"PORT": port, "MARMITA_RECORD": "all", "MARMITA_YAHOO_URL": f"http://{yahoo.address}"}
    engine(
        *("run", "--detach", "--name", name, "--network", "host"),
        *(argument for setting, value in settings.items() for argument in ("--env", f"{setting}={value}")),
        *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", image),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url)
        yield name, url, time.monotonic() - start
    finally:
        engine("rm", "--force", name)


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the container is not ready")


def workers(name: str) -> set[str]:
    lines = engine("top", name, "hpid", "args").splitlines()
    return {line.split()[0] for line in lines if "_bentoml_impl.worker.service" in line}


def test_it_is_lean(image: str) -> None:
    size, base = (int(engine("image", "inspect", "--format", "{{.Size}}", name)) for name in (image, BASE))

    assert (size - base) / MIB <= 400  # of which what prices take, yfinance with pandas and curl, is 120


def test_it_holds_nothing_that_only_training_or_building_needs(image: str) -> None:
    look = "import importlib.util as u; print([n for n in %r if u.find_spec(n)])"
    unwanted = ["tensorflow", "keras", "sklearn", "scipy", "uv"]
    run = ["run", "--rm", "--entrypoint", "python", image]

    assert engine(*run, "-c", look % unwanted) == "[]"
    assert engine(*run, "-c", "import shutil; print(shutil.which('gcc'), shutil.which('uv'))") == "None None"
    natives = "from pathlib import Path; print([*Path('.').rglob('*.pkl'), *Path('.').rglob('*.keras')])"
    assert engine(*run, "-c", natives) == "[]"


def test_it_is_ready_soon_and_answers(container: tuple[str, str, float], champions: dict[str, PackedModel]) -> None:
    _, url, seconds = container

    assert seconds < 15  # five on a machine that does nothing else
    for route, request in REQUESTS.items():
        answer = httpx.post(f"{url}{route}", json=request(3), timeout=30)
        assert answer.status_code == 200, answer.text
        assert answer.json()[0]["model"] in {model.tag for model in champions.values()}
    assert len(httpx.get(f"{url}/models").json()["models"]) == 3
    assert "marmita_rows_total" in httpx.get(f"{url}/metrics").text


def test_it_runs_as_nobody_in_particular(container: tuple[str, str, float]) -> None:
    name, _, _ = container

    assert engine("exec", name, "id", "-u") == "1034"
    status = engine("exec", name, "cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_it_remembers_with_nothing_beside_it(container: tuple[str, str, float]) -> None:
    name, url, _ = container
    by_hand = ["exec", "--workdir", "/home/bentoml/bento/src", name, "python", "-m", "marmita"]
    (answer,) = httpx.post(f"{url}{SCORE}", json=wines(1)).json()
    truth = {"labels": [{"id": answer["id"], "truth": 5}]}
    stock = {"ticker": TICKER, "start": str(FIRST), "end": str(days(FIRST, 50)[-1])}

    assert httpx.post(f"{url}/labels", json=truth, timeout=30).json()["stored"] == 1
    assert httpx.post(f"{url}/prices/load", json=stock, timeout=60).json()["days"] == 50
    assert mentions(engine(*by_hand, "database", "upgrade"), "sqlite:///")
    assert json.loads(engine(*by_hand, "quality", "wine_quality"))["labelled"] == 1


def test_it_checks_its_own_health(image: str, container: tuple[str, str, float]) -> None:
    check = json.loads(engine("image", "inspect", "--format", "{{json .Config.Healthcheck}}", image))
    name, _, _ = container

    assert engine("exec", name, *check["Test"][1:]) == ""


def test_a_killed_worker_is_replaced(container: tuple[str, str, float]) -> None:
    name, url, _ = container
    before = workers(name)
    assert len(before) == 2

    victim = before.pop()
    os.kill(int(victim), 9)

    deadline = time.monotonic() + 60
    while len(now := workers(name)) < 2 or victim in now:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    wait_until_ready(url)
    for _ in range(20):
        assert httpx.post(f"{url}{SCORE}", json=wines(1)).status_code == 200


async def test_told_to_end_under_load_it_answers_all_that_it_took(container: tuple[str, str, float]) -> None:
    name, url, _ = container
    async with crowd(url, SCORE, wines(1)) as counts:
        await asyncio.sleep(2)
        await asyncio.to_thread(engine, "stop", "--time", "30", name)

    assert engine("inspect", "--format", "{{.State.ExitCode}}", name) == "0"
    assert set(counts) == {200, REFUSED}
    assert counts[200] > 100
