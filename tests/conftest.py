"""A model store of its own for the whole run, with three small champions, made once."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Libraries read these when they are imported: hence here, before anything else. Whatever this run and its servers
# write, even one that is killed, lies in this folder and goes with it.
HOME = Path(tempfile.mkdtemp(prefix="marmita-tests-"))
for folder in ("metrics", "tmp"):
    (HOME / folder).mkdir()
os.environ |= {
    "BENTOML_HOME": str(HOME / "bentoml"),
    "BENTOML_DO_NOT_TRACK": "True",
    "KERAS_HOME": str(HOME / "keras"),
    "MPLCONFIGDIR": str(HOME / "matplotlib"),
    "PROMETHEUS_MULTIPROC_DIR": str(HOME / "metrics"),
    "TMPDIR": str(HOME / "tmp"),
}
tempfile.tempdir = None  # read TMPDIR again
for name in [name for name in os.environ if name.startswith("MARMITA_") or name.startswith("BENTOML_CONFIG")]:
    del os.environ[name]

from marmita import store  # noqa: E402
from tests import samples  # noqa: E402
from tests.records.postgres import CannotStartError, Postgres  # noqa: E402


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def champions() -> dict[str, store.Packed]:
    """Three models, trained small and made champions whatever they are worth."""
    from training import fetal_health, stock_forecast, wine_quality

    packed = [
        fetal_health.train(samples.FETAL_HEALTH),
        wine_quality.train(samples.WINE_QUALITY),
        stock_forecast.train(samples.STOCK_FORECAST),
    ]
    for model in packed:
        store.promote(model)
    return {model.name: model for model in packed}


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
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.models import ModelStore

    before = BentoMLContainer.model_store_dir.get(), BentoMLContainer.model_store.get()
    folder = tmp_path / "home" / "models"
    folder.mkdir(parents=True)
    BentoMLContainer.model_store_dir.set(str(folder))
    BentoMLContainer.model_store.set(ModelStore(folder))
    yield folder
    BentoMLContainer.model_store_dir.set(before[0])
    BentoMLContainer.model_store.set(before[1])
