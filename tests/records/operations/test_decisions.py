"""Decisions are there before anything is done, and say afterwards what came of it."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from marmita.records.database.database import Database
from marmita.records.database.tables import Decision
from marmita.records.operations import decisions, training_runs
from marmita.records.operations.decisions import FAILED, INTERRUPTED, LEAVE, PROMOTE, PROMOTED, REJECTED, RETRAIN
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.records.predictions import labels
from marmita.records.predictions.retention import delete_old
from tests.records.grades import ask, label, spread

WRONG = Reason(ReasonCode.HIGH_ERROR, "it is wrong")
OLD = Reason(ReasonCode.STALE, "it is old")
WELL = Reason(ReasonCode.NO_DRIFT, "all is well")
EVIDENCE = {"champion": {"tag": "a:v1", "error_ratio": None}}
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def retrained(database: Database, outcome: str, model: str = "a", tag: str | None = None) -> str:
    id = decisions.begin(database, model, RETRAIN, [WRONG], EVIDENCE)
    decisions.end(database, id, outcome, "so it is", tag)
    return id


def test_one_to_retrain_is_open_until_it_is_known_what_came(database: Database) -> None:
    id = decisions.begin(database, "a", RETRAIN, [WRONG, OLD], EVIDENCE, ["run1", "run2"])
    (opened,) = decisions.still_open(database)
    decisions.end(database, id, PROMOTED, "it is better", "a:v2")
    (ended,) = decisions.latest(database)

    assert (opened.id, opened.outcome, opened.ended_at, opened.runs) == (id, None, None, ["run1", "run2"])
    assert decisions.reasons_of(opened) == decisions.reasons_of(ended) == [WRONG, OLD]
    assert opened.evidence == EVIDENCE
    assert (ended.outcome, ended.detail, ended.tag) == (PROMOTED, "it is better", "a:v2")
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.at
    assert decisions.still_open(database) == []


def test_one_to_leave_all_as_it_is_is_closed_at_once(database: Database) -> None:
    decisions.begin(database, "a", LEAVE, [WELL], EVIDENCE)

    assert decisions.still_open(database) == []
    assert [one.outcome for one in decisions.latest(database)] == [decisions.LEFT]


def test_a_code_of_a_newer_release_is_unknown(database: Database) -> None:
    decisions.begin(database, "a", LEAVE, [WELL, OLD], EVIDENCE)
    with database.writing() as session:
        session.execute(update(Decision).values(reason_codes=["of_a_newer_release", OLD.code]))

    (stored,) = decisions.latest(database)

    assert decisions.reasons_of(stored) == [Reason(ReasonCode.UNKNOWN, WELL.text), OLD]


def test_a_decision_may_have_no_reasons(database: Database) -> None:
    decisions.begin(database, "a", LEAVE, [], EVIDENCE)

    assert [decisions.reasons_of(one) for one in decisions.latest(database)] == [[]]


def test_the_newest_come_first_of_one_model_or_of_all(database: Database) -> None:
    first, second, third = (decisions.begin(database, model, LEAVE, [], {}) for model in ("a", "b", "a"))

    assert [one.id for one in decisions.latest(database)] == [third, second, first]
    assert [one.id for one in decisions.latest(database, "a")] == [third, first]
    assert [one.id for one in decisions.latest(database, most=1)] == [third]


def test_it_is_known_when_the_last_one_was_made(database: Database) -> None:
    assert decisions.last_made(database) is None
    for model, action in (("a", LEAVE), ("b", RETRAIN)):
        decisions.begin(database, model, action, [], {})

    by_shepherd = decisions.latest(database)[0].at
    assert decisions.last_made(database) == by_shepherd

    decisions.begin(database, "a", PROMOTE, [], {})
    assert decisions.last_made(database) == by_shepherd


def test_failures_are_counted_until_a_training_went_through(database: Database) -> None:
    assert decisions.failures(database, ["a", "b"]) == {"a": 0, "b": 0}
    for outcome in (FAILED, REJECTED, FAILED, INTERRUPTED):
        retrained(database, outcome)
    decisions.begin(database, "a", LEAVE, [], {})
    decisions.begin(database, "a", RETRAIN, [], {})
    assert decisions.failures(database, ["a", "b"]) == {"a": 2, "b": 0}

    retrained(database, PROMOTED)
    assert decisions.failures(database, ["a"]) == {"a": 0}


def test_retrainings_that_did_not_make_the_champion_are_without_promotion(database: Database) -> None:
    retrained(database, REJECTED, "b")
    before = retrained(database, REJECTED)
    made = datetime.now(UTC)
    in_vain = [retrained(database, outcome) for outcome in (REJECTED, FAILED, INTERRUPTED)]
    taken_back = retrained(database, PROMOTED, tag="a:v2")
    decisions.begin(database, "a", LEAVE, [], {})
    decisions.begin(database, "a", RETRAIN, [], {})

    found = [one.id for one in decisions.without_promotion(database, "a", "a:v1", since=made)]
    assert found == [*in_vain, taken_back]
    found = [one.id for one in decisions.without_promotion(database, "a", "a:v2", since=LONG_AGO)]
    assert found == [before, *in_vain]


def test_they_are_kept_for_a_year_and_longer_if_all_is(database: Database) -> None:
    """The pause after those in vain goes by them."""
    now = datetime.now(UTC)
    ids = {days: retrained(database, FAILED) for days in (31, 364, 366, 500)}
    with database.writing() as session:
        for days, id in ids.items():
            session.execute(update(Decision).where(Decision.id == id).values(ended_at=now - timedelta(days)))

    def kept(days: int) -> set[str]:
        delete_old(database, now - timedelta(days))
        return {one.id for one in decisions.latest(database)}

    assert kept(400) == {ids[31], ids[364], ids[366]}
    assert kept(30) == {ids[31], ids[364]}


def test_old_ones_are_forgotten_but_for_those_that_are_open(database: Database) -> None:
    retrained(database, FAILED)
    decisions.begin(database, "a", LEAVE, [], {})
    unfinished = decisions.begin(database, "a", RETRAIN, [], {})
    with database.writing() as session:
        session.execute(update(Decision).values(at=LONG_AGO))
        session.execute(update(Decision).where(Decision.ended_at.is_not(None)).values(ended_at=LONG_AGO))
    newer = retrained(database, PROMOTED)

    delete_old(database, LONG_AGO + timedelta(days=1))

    assert [one.id for one in decisions.latest(database)] == [newer, unfinished]


def test_runs_that_can_not_end_themselves_are_ended(database: Database) -> None:
    ended, running, other = (training_runs.begin(database, "a") for _ in range(3))
    training_runs.end(database, ended, training_runs.REJECTED, "it is worse")

    training_runs.end_running(database, [ended, running, "never begun"], training_runs.INTERRUPTED, "it was killed")

    known = {run.id: (run.status, run.reason) for run in training_runs.known(database, [ended, running, other])}
    assert known[ended] == (training_runs.REJECTED, "it is worse")
    assert known[running] == (training_runs.INTERRUPTED, "it was killed")
    assert known[other] == (training_runs.RUNNING, "")


def test_rows_are_counted_that_were_labelled_since_a_moment(database: Database) -> None:
    first = ask(database, spread(3), [1, 2, 3])
    label(database, (f"{first}-0", 1), (f"{first}-1", 2))
    moment = datetime.now(UTC)
    second = ask(database, spread(2), [4, 5], version="v2")
    label(database, (f"{second}-0", 4), (f"{second}-1", 5), (f"{first}-1", 7))

    assert labels.count_since(database, "grades", LONG_AGO) == 4
    assert labels.count_since(database, "grades", moment) == 3
    assert labels.count_since(database, "paths", LONG_AGO) == 0
