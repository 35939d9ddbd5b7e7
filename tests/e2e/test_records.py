"""Predictions are kept while the service answers, whatever becomes of it or of the database."""

import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.e2e.crowd import LOST, REFUSED, crowd
from tests.e2e.server import Server, log_lines, metric_samples, serve, until
from tests.messages import mentions
from tests.records.postgres import Postgres
from tests.samples import CLASSIFY, FORECAST, INFER, REQUESTS, SCORE, exams, wine_tensors, wines

pytestmark = pytest.mark.timeout(180)

TOPOLOGIES = pytest.mark.parametrize("topology", ["colocated", "split"])


def ask(server: Server, route: str, request: dict[str, Any]) -> Any:
    answer = httpx.post(f"{server.url}{route}", json=request, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def label(server: Server, truths: dict[str, Any], **options: Any) -> httpx.Response:
    labels = [{"id": id, "truth": truth} for id, truth in truths.items()]
    return httpx.post(f"{server.url}/labels", json={"labels": labels}, timeout=30, **options)


def kept(home: Path) -> int:
    """Rows in the database of a home, or 0 if there is none yet."""
    if not (home / "records.db").exists():
        return 0
    connection = sqlite3.connect(f"file:{home / 'records.db'}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT coalesce(sum(rows), 0) FROM predictions").fetchone()[0])
    except sqlite3.OperationalError:  # there are no tables yet
        return 0
    finally:
        connection.close()


def kept_in_postgres(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT coalesce(sum(rows), 0) FROM predictions").fetchone()
    assert found is not None
    return int(found[0])


def metric(server: Server, name: str, *labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    return sum(
        value for given, value in metric_samples(server, name).items() if all(label in given for label in labels)
    )


@TOPOLOGIES
async def test_what_is_kept_can_be_labelled_and_tells_how_good_a_model_is(own_home: Path, topology: str) -> None:
    with serve(own_home, MARMITA_TOPOLOGY=topology, MARMITA_RECORD="all", MARMITA_QUALITY_INTERVAL="1s") as server:
        answers = ask(server, CLASSIFY, exams(300))
        truths = {answer["id"]: answer["status"] for answer in answers}
        wrong = answers[0]["id"]
        truths[wrong] = "suspect" if truths[wrong] == "normal" else "normal"

        first, again = label(server, truths), label(server, truths)
        quality = httpx.get(f"{server.url}/quality/fetal_health?window=1h", timeout=30).json()

        assert (first.status_code, first.json()) == (200, {"stored": 300, "unchanged": 0, "unknown": []})
        assert again.json() == {"stored": 0, "unchanged": 300, "unknown": []}
        assert quality["rows"] == quality["labelled"] == 300
        accuracy = {"score": "accuracy", "part": "all", "value": pytest.approx(299 / 300)}
        assert accuracy in quality["scores"]
        assert metric(server, "marmita_recorded_rows_total") == 300
        await until(lambda: metric(server, "marmita_quality_labelled_rows", 'model="fetal_health"') == 300)
        assert metric(server, "marmita_quality_score", 'score="accuracy"', 'part="all"') == pytest.approx(299 / 300)


@TOPOLOGIES
def test_each_route_says_by_which_id_its_rows_can_be_labelled(own_home: Path, topology: str) -> None:
    truths: dict[str, Any] = {CLASSIFY: "normal", SCORE: 6, FORECAST: [20.0, 20.5]}
    with serve(own_home, MARMITA_TOPOLOGY=topology, MARMITA_RECORD="all") as server:
        for route, truth in truths.items():
            first, second = ask(server, route, REQUESTS[route](2))
            (id, place), (same, next_place) = (answer["id"].split("-") for answer in (first, second))
            assert (same, int(next_place)) == (id, int(place) + 1)
            assert label(server, {first["id"]: truth, second["id"]: truth}).status_code == 200
        answer = ask(server, INFER, wine_tensors(1))
        assert label(server, {answer["parameters"]["prediction_id"]: 5}).status_code == 200


@TOPOLOGIES
def test_nothing_is_kept_unless_it_is_asked_for(own_home: Path, topology: str) -> None:
    with serve(own_home, MARMITA_TOPOLOGY=topology) as server:
        answers = [answer for route, request in REQUESTS.items() for answer in ask(server, route, request(2))]
        quality = httpx.get(f"{server.url}/quality/wine_quality", timeout=30).json()

    assert not any("id" in answer for answer in answers)
    assert quality["rows"] == 0
    assert kept(own_home) == 0


def test_a_sample_of_the_requests_is_kept(own_home: Path) -> None:
    with serve(own_home, MARMITA_RECORD="sample", MARMITA_RECORD_SAMPLE_RATE="0.5") as server, httpx.Client() as client:
        answers = [client.post(f"{server.url}{SCORE}", json=wines(1)).json()[0] for _ in range(200)]

    with_id = sum("id" in answer for answer in answers)
    assert 60 < with_id < 140
    assert kept(own_home) == with_id


def test_labels_that_can_be_none_are_refused_by_name(own_home: Path) -> None:
    with serve(own_home, MARMITA_RECORD="all") as server:
        (answer,) = ask(server, SCORE, wines(1))
        wrong = [label(server, {answer["id"]: truth}) for truth in ("good", 11, [5], -1)]
        unknown = label(server, {f"{'0' * 32}-0": 5})
        mixed = label(server, {f"{'0' * 32}-0": 5, answer["id"]: 5})
        no_id = label(server, {"1": 5})

    assert [one.status_code for one in wrong] == [400] * 4
    assert all(one.json()["code"] == "invalid_request" for one in wrong)
    assert all(one.json()["error"].startswith("labels[0].truth: ") for one in wrong)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "prediction_not_found")
    assert mixed.json() == {"stored": 1, "unchanged": 0, "unknown": [f"{'0' * 32}-0"]}
    assert no_id.status_code == 400


@TOPOLOGIES
async def test_told_to_end_under_load_it_writes_all_that_it_answered(own_home: Path, topology: str) -> None:
    with serve(own_home, MARMITA_TOPOLOGY=topology, MARMITA_RECORD="all") as server:
        async with crowd(server.url, SCORE, wines(1), clients=32) as counts:
            await until(lambda: counts[200] > 300)
            server.process.terminate()
            await until(lambda: server.process.poll() is not None)

    assert set(counts) == {200, REFUSED}
    assert kept(own_home) == counts[200]


def test_killed_it_loses_no_more_than_the_last_moments(own_home: Path) -> None:
    answered: list[tuple[float, str]] = []
    with serve(own_home, MARMITA_RECORD="all") as server, httpx.Client() as client:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            (answer,) = client.post(f"{server.url}{SCORE}", json=wines(1)).json()
            answered.append((time.monotonic(), answer["id"]))
        for process in server.processes():  # the first one starts no other in place of those that go
            process.kill()
        killed = time.monotonic()
        server.process.wait()

    with sqlite3.connect(own_home / "records.db") as connection:
        bundles = connection.execute("SELECT id, rows FROM predictions").fetchall()
    found = {f"{id}-{row}" for id, rows in bundles for row in range(rows)}
    lost = [killed - at for at, id in answered if id not in found]
    assert found
    assert max(lost, default=0) < 1.5  # the flush interval, and a busy machine


@TOPOLOGIES
async def test_without_its_database_it_answers_on_and_catches_up(
    own_home: Path, postgres: Postgres, postgresql_url: str, topology: str
) -> None:
    with serve(
        own_home, MARMITA_TOPOLOGY=topology, MARMITA_RECORD="all", MARMITA_DATABASE_URL=postgresql_url
    ) as server:
        async with crowd(server.url, SCORE, wines(1), clients=8) as counts:
            await until(lambda: metric(server, "marmita_recorded_rows_total") > 100)
            postgres.stop()
            try:
                await until(lambda: metric(server, "marmita_records_queue_depth") > 500)
                down = label(server, {f"{'0' * 32}-0": 5})
                quality = httpx.get(f"{server.url}/quality/wine_quality", timeout=30)
                assert metric(server, "marmita_database_reachable") == 0
            finally:
                postgres.start()
            await until(lambda: metric(server, "marmita_database_reachable") == 1)
        await until(lambda: metric(server, "marmita_recorded_rows_total") == counts[200])
        dropped = metric(server, "marmita_records_dropped_total")

    assert set(counts) == {200}
    assert down.status_code == quality.status_code == 503
    assert dropped == 0
    assert kept_in_postgres(postgresql_url) == counts[200]
    assert "s3cret" not in server.log.read_text()


async def test_what_does_not_fit_is_counted_and_gets_no_id(
    own_home: Path, postgres: Postgres, postgresql_url: str
) -> None:
    statuses: Counter[bool] = Counter()
    with serve(
        own_home, MARMITA_RECORD="all", MARMITA_DATABASE_URL=postgresql_url, MARMITA_RECORD_BUFFER_MB="1"
    ) as server:
        postgres.stop()
        try:
            for _ in range(80):  # of 55 kB each, into two workers with room for 18
                statuses["id" in ask(server, SCORE, wines(1_000))[0]] += 1
            assert metric(server, "marmita_records_dropped_total", 'reason="full"') == 1_000 * statuses[False]
        finally:
            postgres.start()
        await until(lambda: metric(server, "marmita_recorded_rows_total") == 1_000 * statuses[True])

    assert 18 <= statuses[True] <= 40
    assert kept_in_postgres(postgresql_url) == 1_000 * statuses[True]


def test_it_starts_and_ends_without_its_database(own_home: Path, postgres: Postgres, postgresql_url: str) -> None:
    postgres.stop()
    try:
        with serve(own_home, MARMITA_RECORD="all", MARMITA_DATABASE_URL=postgresql_url) as server:
            assert len(ask(server, SCORE, wines(3))) == 3
            server.process.terminate()
            assert server.process.wait(timeout=30) == 0
    finally:
        postgres.start()

    lost = [line for line in log_lines(server) if line["logger"] == "marmita.records.predictions.recorder"][-1]
    assert (lost["level"], mentions(str(lost["message"]), 3)) == ("error", True)


async def test_where_nothing_can_be_written_it_answers_all_the_same(own_home: Path) -> None:
    with serve(own_home, MARMITA_RECORD="all", MARMITA_DATABASE_URL="sqlite:////proc/records.db") as server:
        async with crowd(server.url, SCORE, wines(1), clients=4) as counts:
            await until(lambda: counts[200] > 200)
            await until(lambda: metric(server, "marmita_records_queue_depth") > 100)
            assert metric(server, "marmita_database_reachable") == 0

    assert set(counts) == {200}
    assert counts[LOST] == 0


def test_who_changes_something_needs_a_key(own_home: Path) -> None:
    old, new = "the-old-key-of-the-lab", "the-new-key-of-the-lab"
    with serve(own_home, MARMITA_RECORD="all", MARMITA_API_KEYS=f"{old}, {new}") as server:
        (answer,) = ask(server, SCORE, wines(1))
        truths = {answer["id"]: 5}
        without = label(server, truths)
        wrong = label(server, truths, headers={"Authorization": "Bearer the-old-key-of-the-law"})
        right = [label(server, truths, headers={"Authorization": f"Bearer {key}"}) for key in (old, new)]
        prices = httpx.post(
            f"{server.url}/prices/load", json={"ticker": "X", "start": "2020-01-01", "end": "2020-01-02"}
        )
        looked = httpx.get(f"{server.url}/quality/wine_quality", timeout=30)

    assert [one.status_code for one in (without, wrong, prices)] == [401] * 3
    assert without.headers["www-authenticate"] == "Bearer"
    assert [one.status_code for one in (*right, looked)] == [200] * 3
    assert not any(key in server.log.read_text() for key in (old, new))
