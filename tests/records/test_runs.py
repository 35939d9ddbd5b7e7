"""Training runs are remembered from their beginning on."""

from records import runs
from records.database import Database


def test_a_run_is_there_while_it_runs_and_says_then_what_came_of_it(database: Database) -> None:
    run = runs.begin(database, "wine_quality")
    (running,) = runs.latest(database)
    runs.end(database, run, runs.PROMOTED, "it is better", "wine_quality:abc", {"mae": 0.4})
    (ended,) = runs.latest(database, "wine_quality")

    assert (running.status, running.ended_at, running.tag) == (runs.RUNNING, None, None)
    assert (ended.status, ended.reason, ended.tag) == (runs.PROMOTED, "it is better", "wine_quality:abc")
    assert ended.scores == {"mae": 0.4}
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.started_at


def test_the_newest_come_first_of_one_model_or_of_all(database: Database) -> None:
    first, second, third = (runs.begin(database, model) for model in ("a", "b", "a"))

    assert [run.id for run in runs.latest(database)] == [third, second, first]
    assert [run.id for run in runs.latest(database, "a")] == [third, first]
    assert [run.id for run in runs.latest(database, most=1)] == [third]
