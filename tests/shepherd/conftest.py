"""A shepherd in a process of the tests, with a store and a database: SQLite, and PostgreSQL for tests that say so."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from marmita.records.database.database import Database
from marmita.records.operations import decisions
from marmita.records.operations.leases import SHEPHERD, Claim
from marmita.records.operations.reasons import ReasonCode
from marmita.registry import packed_model
from marmita.registry.champions import promote
from marmita.registry.packed_model import PackedModel
from marmita.settings import Settings
from marmita.shepherd.reconcile import ReconcileCycle
from tests.records.conftest import database as database
from tests.records.conftest import sqlite_url as sqlite_url
from tests.records.stocks import Source
from tests.shepherd.stand_in_shepherd import stand_in

WINE, STOCK = "wine_quality", "stock_forecast"
ON_BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url"))


class Shepherd:
    """Goes its rounds, one at a time, in a store and a database of its own."""

    def __init__(self, database: Database, claim: Claim, patch: pytest.MonkeyPatch) -> None:
        self.database = database
        self.claim = claim
        self.asked: list[tuple[str, ...]] = []
        self._patch = patch

    def run(self, does: str = "promote", *models: str, fetch: Any = None, **given: Any) -> bool:
        self._patch.setenv("STAND_IN_DOES", does)
        settings = Settings(retrain_min_labels=20, **given)
        return ReconcileCycle(
            self.database, settings, models or (WINE,), self.claim, self._command, fetch or Source([])
        ).run()

    def packs(self, model: PackedModel) -> None:
        """What training makes once more."""
        self._patch.setenv("STAND_IN_FROM", str(model.path))

    def decided(self) -> tuple[str, str | None]:
        """What the newest decision is, and what came of it."""
        newest = decisions.latest(self.database)[0]
        return newest.action, newest.outcome

    def reasons(self) -> dict[ReasonCode, str]:
        """The texts of the newest decision's reasons, by code."""
        found = decisions.reasons_of(decisions.latest(self.database)[0])
        by_code = {reason.code: reason.text for reason in found}
        assert len(by_code) == len(found)
        return by_code

    def _command(self, model: str, arguments: Sequence[str]) -> list[str]:
        self.asked.append(tuple(arguments[: arguments.index("--run")]))
        return stand_in(model, arguments)


@pytest.fixture
def shepherd(
    database: Database,
    database_url: str,
    champions: dict[str, PackedModel],
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shepherd]:
    """A shepherd that has its lease, over an empty store."""
    monkeypatch.setenv("BENTOML_HOME", str(empty_store.parent))
    monkeypatch.setenv("MARMITA_DATABASE_URL", database_url)
    monkeypatch.setenv("STAND_IN_FROM", str(champions[WINE].path))
    claim = Claim(database, SHEPHERD)
    assert claim.take()
    yield Shepherd(database, claim, monkeypatch)
    claim.release()


@pytest.fixture
def served(champions: dict[str, PackedModel], empty_store: Path) -> Callable[[str], PackedModel]:
    """Makes a champion of the run the champion of the shepherd's store."""

    def copied(name: str) -> PackedModel:
        source = champions[name]
        shutil.copytree(source.path, empty_store / name / source.version)
        packed = packed_model.get(source.tag)
        promote(packed)
        return packed

    return copied
