"""Training runs are remembered from their beginning on."""

from marmita.records.database.database import Database
from marmita.records.operations import training_runs


def test_a_run_is_there_while_it_runs_and_says_then_what_came_of_it(database: Database) -> None:
    run = training_runs.begin(database, "wine_quality")
    (running,) = training_runs.latest(database)
    training_runs.end(database, run, training_runs.PROMOTED, "it is better", "wine_quality:abc", {"mae": 0.4})
    (ended,) = training_runs.latest(database, "wine_quality")

    assert (running.status, running.ended_at, running.tag) == (training_runs.RUNNING, None, None)
    assert (ended.status, ended.reason, ended.tag) == (training_runs.PROMOTED, "it is better", "wine_quality:abc")
    assert ended.scores == {"mae": 0.4}
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.started_at


def test_the_newest_come_first_of_one_model_or_of_all(database: Database) -> None:
    first, second, third = (training_runs.begin(database, model) for model in ("a", "b", "a"))

    assert [run.id for run in training_runs.latest(database)] == [third, second, first]
    assert [run.id for run in training_runs.latest(database, "a")] == [third, first]
    assert [run.id for run in training_runs.latest(database, most=1)] == [third]
