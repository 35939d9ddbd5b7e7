"""A model store of its own for the whole run, with three small champions, made once."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest
from xdist.remote import Producer

# Whatever this run and its servers write, even one that is killed, lies in one folder and goes with it. A worker that
# does a part of the run has a home of its own in it.
RUN = Path(os.environ.get("FOLDER_OF_THE_RUN") or tempfile.mkdtemp(prefix="marmita-tests-"))
HOME = RUN / os.environ.get("PYTEST_XDIST_WORKER", "")
for folder in (HOME, HOME / "metrics", HOME / "tmp"):
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)  # PostgreSQL runs as somebody else, who has to get through to its own folder
# Libraries read these when they are imported: hence here, before anything else.
os.environ |= {
    "FOLDER_OF_THE_RUN": str(RUN),
    "BENTOML_HOME": str(HOME / "bentoml"),
    "BENTOML_DO_NOT_TRACK": "True",
    "KERAS_HOME": str(HOME / "keras"),
    "MPLCONFIGDIR": str(HOME / "matplotlib"),
    "PROMETHEUS_MULTIPROC_DIR": str(HOME / "metrics"),
    "TMPDIR": str(HOME / "tmp"),
}
if sys.dont_write_bytecode:  # then every server would compile all of its libraries anew
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(RUN / "bytecode")
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
tempfile.tempdir = None  # read TMPDIR again
for name in [name for name in os.environ if name.startswith("MARMITA_") or name.startswith("BENTOML_CONFIG")]:
    del os.environ[name]

from marmita.registry.champions import champion, promote  # noqa: E402
from marmita.registry.packed_model import PackedModel  # noqa: E402
from tests import samples, sharing  # noqa: E402
from tests.records.postgres import CannotStartError, Postgres  # noqa: E402
from tests.stores import using_store  # noqa: E402


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        sharing.share_out(items, RUN / "groups.json")


@pytest.hookimpl(optionalhook=True)  # a run by one process has no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> sharing.Scheduler:
    return sharing.Scheduler(config, log, RUN / "groups.json")


@pytest.fixture(scope="session")
def champions() -> dict[str, PackedModel]:
    """Three models, trained small and made champions whatever they are worth. One worker trains them for all."""
    trained, own = RUN / "champions", HOME / "bentoml" / "models"
    with (RUN / "champions.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not trained.exists():
            train_champions()
            shutil.copytree(own, trained)
    shutil.copytree(trained, own, dirs_exist_ok=True)
    found = [champion(name) for name in samples.SMALL]
    return {model.name: model for model in found if model}


def train_champions() -> None:
    from marmita import discovery

    for name, parameters in samples.SMALL.items():
        promote(discovery.training(name).train(**parameters))


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path for a Unix socket, which may have a hundred characters: those of pytest's own folders may be longer."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield Path(folder, "s")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port of 127.0.0.1 at which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server that all tests share. Who stops it starts it again."""
    try:
        server = Postgres(HOME)
    except CannotStartError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"PostgreSQL can't be started: {error}")
    yield server
    server.remove()


@pytest.fixture
def postgresql_url(postgres: Postgres) -> Iterator[str]:
    """A new database in PostgreSQL."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Path]:
    """A store with nothing in it, in the place of the run's own."""
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    with using_store(folder):
        yield folder
