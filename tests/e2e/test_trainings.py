"""A file that is uploaded becomes a model that answers, whatever is killed or full meanwhile."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from marmita.records.database.database import Database, default_url
from marmita.records.operations import trainings
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import ROOT, Server, environment, free_port, home, readiness, serve, until
from tests.iris import MEASURES, SPECIES, iris

pytestmark = pytest.mark.timeout(180)

ROWS = b"x,y,left\r\n" + b"".join(b"%d,%d,%s\r\n" % (n, n % 7, b"stays" if n % 3 else b"leaves") for n in range(300))
MB = 1024 * 1024


@pytest.fixture
def server(own_store: Path) -> Iterator[Server]:
    """A service whose store and records belong to one test."""
    with serve(own_store, MARMITA_BODY_TIMEOUT="5s") as server:
        yield server


@pytest.fixture
def own_store(champions: dict[str, PackedModel], tmp_path: Path) -> Path:
    """A home with a copy of the champions, which a test may add models to."""
    own = home(tmp_path / "home")
    models = (own / "models").resolve()
    (own / "models").unlink()
    subprocess.run(["cp", "-r", models, own / "models"], check=True)
    return own


@contextmanager
def running(own: Path, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a module of ours, and what it starts, until the block ends."""
    with (own / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment(own),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        process.wait(30)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def stand_in_trainer(own: Path) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """A trainer that learns nothing, in no time."""
    return running(own, "tests.shepherd.stand_in_trainer")


def trainer(own: Path) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    return running(own, "marmita", "trainer")


def order(server: Server, content: bytes = ROWS, **texts: str) -> httpx.Response:
    files = {"file": ("churn.csv", content, "text/csv")}
    return httpx.post(f"{server.url}/trainings", files=files, data={"target": "left", **texts}, timeout=60)


def look(server: Server, id: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/trainings/{id}", timeout=30).json()
    return found


def has_ended(server: Server, id: str) -> bool:
    return look(server, id)["state"] in ("done", "failed")


def left_behind(own: Path) -> list[str]:
    """What is in the folder of datasets but for those that are kept, by name."""
    return [path.name for path in (own / "datasets").rglob("*") if path.is_file() and path.name not in (".lock",)]


async def slow_form(pause_s: float, go_on: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """The body of an order whose file comes in slowly, and stops before its end until an event."""
    head = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    yield head % (b"target", b"") + b"left\r\n" + head % (b"file", b'; filename="churn.csv"')
    for _ in range(5):
        yield ROWS * 100
        await asyncio.sleep(pause_s)
    if go_on is not None:
        await go_on.wait()
    yield b"\r\n--x--\r\n"


async def order_slowly(server: Server, body: AsyncIterator[bytes]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        return await client.post(f"{server.url}/trainings", content=body, headers=headers)


async def test_an_upload_becomes_a_model_that_answers(own_store: Path, server: Server) -> None:
    waiting = order(server, task="classification").json()
    assert (waiting["state"], waiting["trainers"]) == ("queued", 0)
    assert "marmita trainer" in waiting["note"]

    with stand_in_trainer(own_store):
        await until(lambda: bool(look(server, waiting["id"])["state"] == "done"))
        done = look(server, waiting["id"])
        asked = {"rows": [{"x": 1.0, "y": 2.0}]}
        answer = httpx.post(f"{server.url}/models/churn/predict", json=asked, timeout=30)
        again = order(server).json()
        assert (again["trainers"], again["note"]) == (1, None)
        await until(lambda: bool(look(server, again["id"])["state"] == "done"))
        newer = look(server, again["id"])

    assert done["card"]["model"] == "churn"
    assert answer.json()[0]["model"] == done["tag"]
    assert newer["tag"] != done["tag"]
    assert newer["tag"].partition(":")[0] == "churn"
    document = httpx.get(f"{server.url}/docs.json", timeout=30).json()
    assert {"/trainings", "/trainings/{id}", "/train", "/predict"} <= document["paths"].keys()


async def test_iris_is_learnt_from_an_upload(own_store: Path, server: Server) -> None:
    flowers = [dict(zip(MEASURES, measures, strict=True)) for measures in ((5.1, 3.5, 1.4, 0.2), (6.3, 3.3, 6.0, 2.5))]
    ordered = order(server, iris(), name="iris", target="variety", seconds="20")
    broken = order(server, b"x,left\n1,a\n2\n")
    with trainer(own_store):
        for one in (ordered, broken):
            await until(partial(has_ended, server, one.json()["id"]), 120)

    done, failed = look(server, ordered.json()["id"]), look(server, broken.json()["id"])
    assert done["state"] == "done", done
    assert done["progress"]["done"] > 0
    assert done["card"]["verdict"]["promoted"]
    assert done["card"]["held_out"]["accuracy"] > 0.85
    answers = httpx.post(f"{server.url}/models/iris/predict", json={"rows": flowers}, timeout=30).json()
    assert [answer["class"] for answer in answers] == ["Setosa", "Virginica"]
    assert (failed["state"], failed["error"]["code"], failed["error"]["row"]) == ("failed", "ragged_row", 3)


async def test_the_clients_of_mini_ml_trainer_go_on(own_store: Path, server: Server) -> None:
    """What its README, its collection and its tests send."""
    dataset, rows = ("iris.csv", iris(), "text/csv"), ("iris_predict.csv", iris(), "text/csv")
    fields = {"target_column": "variety", "model_params": '{"n_estimators": 20, "max_depth": 5}', "columns_to_drop": ""}
    with trainer(own_store):
        trained = httpx.post(f"{server.url}/train", files={"dataset_file": dataset}, data=fields, timeout=60)
        predicted = httpx.post(f"{server.url}/predict", files={"input_file": rows}, timeout=60).json()
        as_value = {"target_column": "petal.width", "model_type": "RandomForestRegressor", "columns_to_drop": "variety"}
        regressor = httpx.post(f"{server.url}/train", files={"dataset_file": dataset}, data=as_value, timeout=60)
        values = httpx.post(
            f"{server.url}/predict", files={"input_file": rows}, data={"columns_to_drop": '["variety"]'}, timeout=60
        ).json()
        unknown = {"target_column": "species"}
        failed = httpx.post(f"{server.url}/train", files={"dataset_file": dataset}, data=unknown, timeout=60)

    assert trained.status_code == 200, trained.text
    assert trained.json()["metrics"].keys() == {"accuracy"}
    assert trained.json()["metrics"]["accuracy"] > 0.75
    assert predicted["model"] == trained.json()["model_path"]
    right = [found == place // 50 for place, found in enumerate(predicted["predictions"])]
    assert sum(right) > 135
    assert set(predicted["labels"]) == set(SPECIES)
    assert regressor.json()["metrics"].keys() == {"r2_score"}
    assert values["model"] == regressor.json()["model_path"]
    assert len(values["predictions"]) == 150
    assert all(isinstance(value, float) for value in values["predictions"])
    assert (failed.status_code, failed.json()["code"]) == (400, "training_failed")
    assert "species" in failed.json()["detail"]


async def test_others_are_answered_while_an_upload_comes_in(server: Server) -> None:
    go_on = asyncio.Event()
    upload = asyncio.create_task(order_slowly(server, slow_form(0.1, go_on)))
    await asyncio.sleep(1)

    assert readiness(server) == 200
    assert not upload.done()
    go_on.set()
    assert (await upload).status_code == 202


async def test_an_upload_that_is_cut_leaves_nothing(own_store: Path, server: Server) -> None:
    upload = asyncio.create_task(order_slowly(server, slow_form(0.1, asyncio.Event())))
    await until(lambda: "file" in left_behind(own_store), 20)

    upload.cancel()

    await until(lambda: left_behind(own_store) == [], 20)
    assert httpx.get(f"{server.url}/trainings", timeout=30).json()["trainings"] == []


async def test_a_worker_that_is_killed_during_an_upload_leaves_nothing_for_long(
    own_store: Path, server: Server
) -> None:
    upload = asyncio.create_task(order_slowly(server, slow_form(0.1, asyncio.Event())))
    await until(lambda: "file" in left_behind(own_store), 20)

    for worker in server.workers("Marmita"):
        worker.kill()
    with pytest.raises(httpx.TransportError):
        await upload
    await until(lambda: readiness(server) == 200, 60)
    answer = order(server)

    assert answer.status_code == 202
    assert left_behind(own_store) == [f"{trainings_dataset(own_store)}.csv"]


def trainings_dataset(own: Path) -> str:
    database = Database(default_url(own))
    ((newest),) = trainings.latest(database, 1)
    database.close()
    return newest.dataset


async def test_a_training_outlives_the_worker_that_waits_for_it(own_store: Path, server: Server) -> None:
    files = {"dataset_file": ("churn.csv", ROWS, "text/csv")}
    async with httpx.AsyncClient(timeout=60) as client:
        request = client.post(f"{server.url}/train", files=files, data={"target_column": "left"})
        waiting = asyncio.create_task(request)
        await until(lambda: len(newest(server)) == 1, 20)
        for worker in server.workers("Marmita"):
            worker.kill()
        with pytest.raises(httpx.TransportError):
            await waiting
    await until(lambda: readiness(server) == 200, 60)

    with stand_in_trainer(own_store):
        await until(lambda: newest(server)[0]["state"] == "done")


def newest(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{server.url}/trainings", timeout=30).json()["trainings"]
    return found


def test_a_disk_that_is_full_is_told_and_leaves_nothing(own_store: Path, server: Server) -> None:
    for worker in server.workers("Marmita"):
        worker.rlimit(psutil.RLIMIT_FSIZE, (2 * MB, 2 * MB))

    answer = order(server, ROWS * 2000)

    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
    assert left_behind(own_store) == []
    assert order(server).status_code == 202


async def test_an_upload_is_finished_while_the_service_drains(own_store: Path, server: Server) -> None:
    upload = asyncio.create_task(order_slowly(server, slow_form(0.5)))
    await until(lambda: "file" in left_behind(own_store), 20)

    server.process.terminate()

    answer = await upload
    assert answer.status_code == 202
    await asyncio.to_thread(server.process.wait, 30)
    database = Database(default_url(own_store))
    assert [one.id for one in trainings.latest(database, 5)] == [answer.json()["id"]]
    database.close()


@pytest.mark.parametrize("ends", ["terminate", "kill"])
async def test_the_command_serves_with_a_trainer_that_ends_with_it(own_store: Path, ends: str) -> None:
    port = free_port()
    with running(own_store, "marmita", "serve", "--port", str(port)) as process:
        server = Server(f"http://127.0.0.1:{port}", process, own_store / "log")
        await until(lambda: readiness(server) == 200, 90)
        await until(lambda: bool(httpx.get(f"{server.url}/trainings", timeout=30).json()["trainers"] == 1), 30)
        family = psutil.Process(process.pid).children(recursive=True)
        (beside,) = [one for one in family if one.cmdline()[-1] == "trainer"]

        getattr(process, ends)()
        process.wait(30)

        await until(lambda: ended(beside), 15)
        for one in family:  # workers stay when their parent is killed
            with suppress(psutil.NoSuchProcess):
                one.kill()
    database = Database(default_url(own_store))
    assert trainings.count_trainers(database) == 0
    database.close()


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == "zombie"
    except psutil.NoSuchProcess:
        return True
