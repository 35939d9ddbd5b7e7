"""A version is promoted by its full tag, and one that the gate rejected only by force, which is recorded."""

import shutil
from pathlib import Path

import pytest

from marmita.cli import champions as command
from marmita.cli.parser import parser
from marmita.records.database.database import Database, default_url
from marmita.records.operations import decisions
from marmita.records.operations.reasons import ReasonCode
from marmita.registry import champions as registry
from marmita.registry.card import GateVerdict
from marmita.registry.packed_model import PackedModel
from tests.registry.repacking import repack

NAME = "wine_quality"
PASSED = GateVerdict(promoted=True, reason="it is better")
REJECTED = GateVerdict(promoted=False, reason="it is worse than the champion")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The records of the command, in a folder of their own."""
    own = Database(default_url(tmp_path))
    monkeypatch.setattr(command, "database", lambda: own)
    return own


@pytest.fixture
def champion(champions: dict[str, PackedModel], empty_store: Path) -> PackedModel:
    """The only version in a store of its own, which passed the gate."""
    packed = repack(champions[NAME], PASSED)
    registry.promote(packed)
    return packed


def run(*arguments: str) -> None:
    options = parser().parse_args(arguments)
    options.run(options)


@pytest.mark.parametrize("given", [NAME, f"{NAME}:", f"{NAME}:latest"])
def test_without_a_version_it_names_those_that_passed_the_gate_newest_first(
    champion: PackedModel, database: Database, given: str
) -> None:
    rejected, newer = repack(champion, REJECTED), repack(champion, PASSED)
    damaged = repack(champion, PASSED)
    (damaged.path / "card.json").write_text("half of it {")

    with pytest.raises(ValueError, match=f"{given} does not say which version") as raised:
        run("promote", given)

    said = str(raised.value)
    assert 0 < said.index(newer.tag) < said.index(champion.tag)
    assert rejected.tag not in said
    assert damaged.tag not in said
    assert registry.champion_version(NAME) == champion.version


def test_without_a_version_that_passed_it_says_so(champion: PackedModel, database: Database) -> None:
    shutil.rmtree(champion.path)
    repack_of_nothing = "the store has no version of wine_quality that passed the gate"

    with pytest.raises(ValueError, match=repack_of_nothing):
        run("promote", NAME)


def test_one_that_passed_is_promoted_and_no_exception_is_recorded(champion: PackedModel, database: Database) -> None:
    newer = repack(champion, PASSED)

    run("promote", newer.tag)

    assert registry.champion_version(NAME) == newer.version
    assert decisions.latest(database) == []


def test_one_that_the_gate_rejected_is_not_promoted(champion: PackedModel, database: Database) -> None:
    rejected = repack(champion, REJECTED)

    with pytest.raises(ValueError, match=r"did not pass the gate: it is worse than the champion\. --force promotes it"):
        run("promote", rejected.tag)

    assert registry.champion_version(NAME) == champion.version
    assert decisions.latest(database) == []


def test_by_force_it_is_and_the_history_shows_it(
    champion: PackedModel, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = repack(champion, REJECTED)

    run("promote", rejected.tag, "--force")

    assert registry.champion_version(NAME) == rejected.version
    (decision,) = decisions.latest(database)
    assert (decision.action, decision.outcome, decision.tag) == (decisions.PROMOTE, decisions.PROMOTED, rejected.tag)
    assert [reason.code for reason in decisions.reasons_of(decision)] == [ReasonCode.FORCED]
    assert decision.ended_at is not None
    monkeypatch.setattr("marmita.cli.shepherd.database", lambda: database)
    run("shepherd", "history")
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.split()[2:6] == [NAME, "promote", "promoted", f"[{ReasonCode.FORCED}]"]
    assert REJECTED.reason in shown


def test_a_forced_promotion_that_fails_is_recorded_as_that(
    champion: PackedModel, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejected = repack(champion, REJECTED)

    def fail(_: PackedModel) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(registry, "promote", fail)
    with pytest.raises(OSError, match="the disk is full"):
        run("promote", rejected.tag, "--force")

    (decision,) = decisions.latest(database)
    assert (decision.action, decision.outcome, decision.detail) == (
        decisions.PROMOTE,
        decisions.FAILED,
        "the disk is full",
    )


def test_rollback_goes_to_one_that_was_forced_as_to_any_other(champion: PackedModel, database: Database) -> None:
    rejected, newer = repack(champion, REJECTED), repack(champion, PASSED)
    run("promote", rejected.tag, "--force")
    run("promote", newer.tag)

    run("rollback", NAME)

    assert registry.champion_version(NAME) == rejected.version
