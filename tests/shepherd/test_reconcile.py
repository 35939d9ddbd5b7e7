"""A round as a whole: what is looked at, what is done about it, and what is remembered of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import NoReturn

import bentoml
import numpy as np
import pytest
from sqlalchemy import update

from marmita import discovery
from marmita.records.database.database import Database, DatabaseDownError
from marmita.records.database.tables import Decision, Lease
from marmita.records.operations import decisions, training_runs
from marmita.records.operations.decisions import (
    DELETE,
    DELETED,
    FAILED,
    INTERRUPTED,
    LEAVE,
    LEFT,
    PROMOTED,
    REJECTED,
    RETRAIN,
)
from marmita.records.operations.leases import SHEPHERD, Claim
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.records.predictions import labels
from marmita.records.prices import prices
from marmita.records.prices.bars import PricesError
from marmita.registry import pruning
from marmita.registry.champions import champion, promote
from marmita.registry.packed_model import PackedModel
from marmita.settings import Settings
from marmita.shepherd import crash_recovery
from marmita.shepherd.reconcile import ReconcileCycle
from marmita.shepherd.retraining import LeaseLostError
from tests.records.grades import ask
from tests.records.stocks import TICKER, Source, keep, walk
from tests.registry.repacking import repack
from tests.shepherd.conftest import ON_BOTH, STOCK, WINE, Shepherd
from tests.shepherd.stand_in_shepherd import stand_in


def drift(database: Database, champion: PackedModel, labelled: int) -> None:
    """Wines of another kind, and labels for some."""
    width, size = 11, 60
    rows = np.random.default_rng(1).uniform(50, 60, (size, width)).astype("<f4")
    id = ask(database, rows, np.full(size, 5.0), datetime.now(UTC), champion.version, model=WINE)
    with database.writing() as session:
        labels.add(session, {WINE: discovery.runner(WINE).evaluator}, [(f"{id}-{row}", 5) for row in range(labelled)])


@ON_BOTH
def test_without_a_champion_one_is_made(shepherd: Shepherd) -> None:
    assert shepherd.run()

    packed = champion(WINE)
    assert packed is not None
    (decision,) = decisions.latest(shepherd.database)
    assert (decision.action, decision.outcome, decision.tag) == (RETRAIN, PROMOTED, packed.tag)
    assert list(shepherd.reasons()) == [ReasonCode.NO_CHAMPION]
    assert decision.evidence["champion"] is None
    (run,) = training_runs.known(shepherd.database, decision.runs)
    assert (run.status, run.tag) == (training_runs.PROMOTED, packed.tag)
    assert shepherd.asked == [("--with-labels",)]

    assert shepherd.run()
    assert shepherd.decided() == (LEAVE, LEFT)
    assert champion(WINE) == packed


@ON_BOTH
def test_wines_that_drifted_are_learnt_when_enough_of_them_are_labelled(
    shepherd: Shepherd, served: Callable[[str], PackedModel]
) -> None:
    packed = served(WINE)
    drift(shepherd.database, packed, labelled=19)
    assert shepherd.run()
    assert shepherd.decided() == (LEAVE, LEFT)
    reasons = shepherd.reasons()
    assert list(reasons) == [ReasonCode.DRIFT, ReasonCode.TOO_FEW_NEW_LABELS]
    assert "input: alcohol" in reasons[ReasonCode.DRIFT]
    assert "19" in reasons[ReasonCode.TOO_FEW_NEW_LABELS]
    assert shepherd.asked == []

    drift(shepherd.database, packed, labelled=1)
    assert shepherd.run()
    assert shepherd.decided() == (RETRAIN, PROMOTED)
    assert champion(WINE) != packed

    assert shepherd.run()
    assert shepherd.decided()[0] == LEAVE


def test_after_a_retraining_in_vain_the_next_one_waits(
    shepherd: Shepherd, served: Callable[[str], PackedModel]
) -> None:
    packed = served(WINE)
    drift(shepherd.database, packed, labelled=20)

    assert shepherd.run("reject")
    assert shepherd.decided() == (RETRAIN, REJECTED)
    assert champion(WINE) == packed
    assert shepherd.run("promote")
    assert shepherd.decided() == (LEAVE, LEFT)
    assert list(shepherd.reasons()) == [ReasonCode.DRIFT, ReasonCode.BACKOFF]

    with shepherd.database.writing() as session:
        session.execute(update(Decision).values(ended_at=datetime.now(UTC) - timedelta(days=2)))
    assert shepherd.run("promote")
    assert shepherd.decided() == (RETRAIN, PROMOTED)


@ON_BOTH
def test_one_that_fails_says_so_and_keeps_no_other_from_its_turn(
    shepherd: Shepherd, served: Callable[[str], PackedModel]
) -> None:
    assert not shepherd.run("fail", WINE, "fetal_health")

    tried = {one.model: one for one in decisions.latest(shepherd.database)}
    assert {one.outcome for one in tried.values()} == {FAILED}
    assert len(tried) == 2
    assert tried[WINE].detail.startswith("--with-labels: ")
    assert tried[WINE].detail.endswith("the training data is gone")
    assert decisions.failures(shepherd.database, [WINE]) == {WINE: 1}


@pytest.mark.parametrize(
    ("does", "outcome", "tries"), [("promote and fail", PROMOTED, 1), ("reject and fail", REJECTED, 2)]
)
def test_what_came_of_a_training_counts_and_not_how_its_process_ended(
    shepherd: Shepherd,
    champions: dict[str, PackedModel],
    served: Callable[[str], PackedModel],
    does: str,
    outcome: str,
    tries: int,
) -> None:
    """As one that is killed while it tells MLflow."""
    shepherd.packs(champions[STOCK])
    served(STOCK)
    keep(shepherd.database, walk(1600))

    assert shepherd.run(does, STOCK, shepherd_ticker=TICKER)

    (decision,) = decisions.latest(shepherd.database)
    assert decision.outcome == outcome
    assert decision.detail.endswith("MLflow is gone")
    assert [run.status for run in training_runs.known(shepherd.database, decision.runs)] == [outcome] * tries
    assert len(shepherd.asked) == tries


def test_a_training_that_could_not_say_that_it_won_has_won(
    shepherd: Shepherd, served: Callable[[str], PackedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store says so, if the run was not remembered."""
    monkeypatch.setattr(training_runs, "known", lambda *_: [])

    assert shepherd.run("promote and fail")

    packed = champion(WINE)
    assert packed is not None
    (decision,) = decisions.latest(shepherd.database)
    assert (decision.outcome, decision.tag) == (PROMOTED, packed.tag)


def test_one_that_takes_too_long_is_ended_and_so_is_its_run(shepherd: Shepherd) -> None:
    assert not shepherd.run("hang", retrain_timeout=timedelta(seconds=5))

    (decision,) = decisions.latest(shepherd.database)
    (run,) = training_runs.known(shepherd.database, decision.runs)
    assert (decision.outcome, run.status) == (FAILED, training_runs.FAILED)
    assert "took longer than 5 s" in run.reason


def test_a_model_that_can_not_be_looked_at_keeps_no_other_from_its_turn(shepherd: Shepherd) -> None:
    assert not shepherd.run("promote", "no_such_model", WINE)

    assert shepherd.decided() == (RETRAIN, PROMOTED)


def test_a_forecaster_is_fine_tuned_first_and_trained_in_full_if_that_is_no_better(
    shepherd: Shepherd, served: Callable[[str], PackedModel], champions: dict[str, PackedModel]
) -> None:
    shepherd.packs(champions[STOCK])
    packed = served(STOCK)
    keep(shepherd.database, walk(200))
    stored = ("--source", "stored", "--ticker", TICKER)

    assert shepherd.run("reject", STOCK, shepherd_ticker=TICKER, fetch=Source([], [PricesError("Yahoo is gone")] * 9))
    assert shepherd.decided() == (RETRAIN, REJECTED)
    reasons = shepherd.reasons()
    assert list(reasons) == [ReasonCode.STALE, ReasonCode.PRICES_UNAVAILABLE]
    assert "Yahoo is gone" in reasons[ReasonCode.PRICES_UNAVAILABLE]
    assert shepherd.asked == [(*stored, "--fine-tune"), stored]
    assert champion(STOCK) == packed
    assert len(training_runs.known(shepherd.database, decisions.latest(shepherd.database)[0].runs)) == 2

    shepherd.asked.clear()
    assert shepherd.run("promote", STOCK, shepherd_ticker=TICKER, retrain_backoff="1m")
    assert shepherd.decided()[0] == LEAVE


def test_without_a_stock_to_learn_from_a_forecaster_is_only_made_if_there_is_none(
    shepherd: Shepherd, champions: dict[str, PackedModel]
) -> None:
    shepherd.packs(champions[STOCK])

    assert shepherd.run("promote", STOCK)
    assert shepherd.asked == [()]
    assert shepherd.run("promote", STOCK)
    assert shepherd.decided()[0] == LEAVE


def test_prices_are_fetched_of_all_stocks_that_are_kept(
    shepherd: Shepherd, served: Callable[[str], PackedModel]
) -> None:
    served(WINE)
    bars = walk(1600)
    keep(shepherd.database, bars[:100])
    source = Source(bars)

    assert shepherd.run(fetch=source)

    with shepherd.database.reading() as session:
        newest = prices.last_day(session, TICKER)
    assert source.asked
    assert newest is not None
    assert newest > bars[100].day


@ON_BOTH
@pytest.mark.parametrize(
    ("status", "outcome"), [(training_runs.RUNNING, INTERRUPTED), (training_runs.PROMOTED, PROMOTED)]
)
def test_what_a_dead_shepherd_left_open_is_closed(
    shepherd: Shepherd, served: Callable[[str], PackedModel], status: str, outcome: str
) -> None:
    served(WINE)
    run = training_runs.begin(shepherd.database, WINE)
    if status != training_runs.RUNNING:
        training_runs.end(shepherd.database, run, status, "it is better", f"{WINE}:abc")
    left = decisions.begin(shepherd.database, WINE, RETRAIN, [], {}, [run, "never begun"])

    assert shepherd.run()

    closed = next(one for one in decisions.latest(shepherd.database) if one.id == left)
    assert closed.outcome == outcome
    assert crash_recovery.REASON in closed.detail
    assert decisions.still_open(shepherd.database) == []
    assert training_runs.known(shepherd.database, [run])[0].status == (
        training_runs.INTERRUPTED if status == training_runs.RUNNING else status
    )


def test_without_its_lease_a_shepherd_does_nothing(shepherd: Shepherd) -> None:
    shepherd.claim.release()

    with pytest.raises(LeaseLostError):
        shepherd.run()

    assert shepherd.asked == []
    assert decisions.latest(shepherd.database) == []


def test_with_the_lease_the_training_ends(shepherd: Shepherd, database: Database) -> None:
    shepherd.claim.release()
    shepherd.claim = Claim(database, SHEPHERD, ttl_s=6)
    assert shepherd.claim.take()
    training = Thread(target=another_takes_it, args=(database,))
    training.start()

    with pytest.raises(LeaseLostError, match="lost its lease"):
        shepherd.run("hang")
    training.join()

    (decision,) = decisions.still_open(database)
    (run,) = training_runs.known(database, decision.runs)
    assert run.status == training_runs.RUNNING  # it is for the next one to close both: this one may do nothing more


def another_takes_it(database: Database) -> None:
    """As soon as the training has begun, as if the holder had been asleep."""
    while not training_runs.latest(database):
        time.sleep(0.05)
    with database.writing() as session:
        session.execute(update(Lease).values(holder="another one"))


def test_without_the_database_nothing_is_done(champions: dict[str, PackedModel]) -> None:
    nowhere = Database("sqlite:////proc/records.db")

    with pytest.raises(DatabaseDownError):
        ReconcileCycle(nowhere, Settings(), [WINE], Claim(nowhere, SHEPHERD), stand_in).run()


@ON_BOTH
def test_old_versions_are_deleted_and_it_is_remembered_which(
    shepherd: Shepherd, served: Callable[[str], PackedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "YOUNGEST", timedelta(0))
    packed = served(WINE)
    tags = [repack(packed).tag for _ in range(3)]

    assert shepherd.run(retrain_keep_versions=1)

    decision = decisions.latest(shepherd.database)[0]
    assert (decision.action, decision.outcome, decision.detail) == (DELETE, DELETED, "\n".join(tags[:2]))
    assert list(shepherd.reasons()) == [ReasonCode.RETENTION]
    assert decision.ended_at
    assert {str(one.tag) for one in bentoml.models.list(WINE)} == {packed.tag, tags[2]}

    assert shepherd.run(retrain_keep_versions=1)
    assert shepherd.decided() == (LEAVE, LEFT)


def test_versions_that_can_not_be_deleted_are_said_and_tried_again(
    shepherd: Shepherd, served: Callable[[str], PackedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "YOUNGEST", timedelta(0))
    packed = served(WINE)
    old, newest = repack(packed), repack(packed)

    with monkeypatch.context() as patch:
        patch.setattr(pruning, "staging", full_disk)
        assert not shepherd.run(retrain_keep_versions=1)
    assert shepherd.decided() == (DELETE, FAILED)
    assert "No space left on device" in decisions.latest(shepherd.database)[0].detail
    assert decisions.failures(shepherd.database, [WINE]) == {WINE: 0}

    assert shepherd.run(retrain_keep_versions=1)
    assert shepherd.decided() == (DELETE, DELETED)
    assert {str(one.tag) for one in bentoml.models.list(WINE)} == {packed.tag, newest.tag}
    assert not old.path.exists()


def test_who_was_killed_while_it_deleted_promoted_nothing(
    shepherd: Shepherd, served: Callable[[str], PackedModel]
) -> None:
    """Though somebody else made a champion since."""
    why = [Reason(ReasonCode.RETENTION, "the newest version is kept")]
    decisions.begin(shepherd.database, WINE, DELETE, why, {"versions": ["a"]})
    repacked = champion_made_now(served(WINE))

    assert shepherd.run()

    decision = decisions.latest(shepherd.database)[-1]
    assert (decision.action, decision.outcome, decision.tag) == (DELETE, INTERRUPTED, None)
    assert champion(WINE) == repacked


def full_disk(_folder: Path) -> NoReturn:
    raise OSError(28, "No space left on device")


def champion_made_now(packed: PackedModel) -> PackedModel:
    card = packed.card.model_copy(update={"made": datetime.now(UTC)})
    made = repack(packed)
    (made.path / "card.json").write_text(card.model_dump_json())
    promote(made)
    return made
