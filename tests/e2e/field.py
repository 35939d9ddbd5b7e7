"""A place for shepherds, each a real process, with a store and a database of its own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from sqlalchemy import update

from marmita.records.database.database import Database, default_url
from marmita.records.database.tables import Decision, Lease
from marmita.records.operations import decisions
from marmita.registry.packed_model import PackedModel
from tests.e2e.server import ROOT, environment

WINE = "wine_quality"
STAND_IN = "tests.shepherd.stand_in_shepherd"


class Field:
    """A home with a store and a database of its own, and shepherds on it."""

    def __init__(self, home: Path, packed: PackedModel) -> None:
        self.home = home
        self.holds = home / "holds"
        self.holds.mkdir(parents=True)
        self.database = Database(default_url(home))
        self._packed = packed
        self._started: list[psutil.Process] = []

    def shepherd(self, *arguments: str, does: str = "promote", module: str = STAND_IN) -> "subprocess.Popen[bytes]":
        """One that has started."""
        variables = {"STAND_IN_DOES": does, "STAND_IN_FROM": str(self._packed.path), "STAND_IN_HOLDS": str(self.holds)}
        with (self.home / f"log-{len(self._started)}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env=environment(self.home, **variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._started.append(psutil.Process(process.pid))
        return process

    def once(self) -> int:
        """The exit status of one that goes one round."""
        return self.shepherd("--once", WINE).wait(60)

    def said(self, number: int) -> str:
        return (self.home / f"log-{number}").read_text()

    def hold(self, stage: str) -> None:
        (self.holds / stage).touch()

    def reached(self, stage: str) -> bool:
        return (self.holds / f"{stage}-reached").exists()

    def go_on(self) -> None:
        for path in self.holds.iterdir():
            path.unlink()

    def family(self) -> list[psutil.Process]:
        """All processes that shepherds have started."""
        return [child for one in self._started if one.is_running() for child in one.children(recursive=True)]

    def lease_runs_out(self) -> None:
        """As it does in 15 seconds."""
        with self.database.writing() as session:
            session.execute(update(Lease).values(until=Lease.since))

    def decided(self) -> Sequence[Decision]:
        """The oldest first."""
        if not (self.home / "records.db").exists():
            return []
        return decisions.latest(self.database)[::-1]

    def champion(self) -> PackedModel | None:
        """The champion, if it is whole."""
        folder = self.home / "models" / WINE
        if not (folder / "champion").exists():
            return None
        version = (folder / "champion").read_text()
        digest = (folder / version / "model.yaml").read_text().partition("compiled_sha256: ")[2].split()[0]
        packed = PackedModel(f"{WINE}:{version}", folder / version, digest)
        packed.check()
        return packed

    def end(self) -> None:
        for process in (*self.family(), *self._started):
            if process.is_running():
                process.kill()
        self.database.close()
