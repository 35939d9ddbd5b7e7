"""What the guide counts and adds up is what the code and the configuration say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marmita.contract.requests import MAX_ROWS
from marmita.records.database.database import Database, default_url
from marmita.records.predictions.bundles import _MOST_ROWS, _OVERHEAD, Bundle, PredictionRequest, write
from marmita.records.predictions.recorder import FLUSH_S, SHUTDOWN_S
from marmita.runtime.batching import INLINE_ROWS
from marmita.runtime.maintenance import SAVE_INTERVAL_S
from marmita.settings import _SHORTEST_KEY as SHORTEST_KEY
from marmita.settings import Settings
from marmita.web.request_body import _TOTAL_FACTOR
from marmita.web.shutdown import NOTICE_S
from tests.deploy.chart.rendering import KUBERNETES, only, render
from tests.deploy.chart.values import Values
from tests.deploy.deploying import guide
from tests.deploy.deploying.documents import COMPOSE, CONFIGURATION, VALUES
from tests.deploy.deploying.installs import INSTALLS, values_of
from tests.e2e.server import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"


BUFFER: int = VALUES["records"]["bufferMb"] * 2**20


def test_numbers_are_those_of_the_code() -> None:
    for sentence in (
        f"Up to {INLINE_ROWS} rows are computed on the event loop",
        f"`traffic.max_concurrency` ({CONFIGURATION['traffic']['max_concurrency']})",
        f"{MAX_ROWS:,} rows, the most that a request may have",
        f"{_TOTAL_FACTOR} * maxBodyBytes",
        f"Kubernetes {KUBERNETES[0]} or newer",
        f"{VALUES['autoscaling']['requestsInProgress']['target']} of them at a pod",
        "`instance:marmita_requests_in_progress:ratio` has the same number",
        f"`stop_grace_period` ({COMPOSE['services']['marmita']['stop_grace_period'].removesuffix('s')} seconds)",
        f"within {SHUTDOWN_S:.0f} seconds",
        f"of {SHORTEST_KEY} characters or more",
        f"`MARMITA_RECORD_RETENTION` ({Settings.model_construct().record_retention.days} days)",
    ):
        assert sentence in " ".join(guide.TEXT.split()), sentence
    assert NOTICE_S == 1, "one more second"
    assert FLUSH_S == 1, "its last second"
    assert Settings.model_construct().record_sample_rate == 0.1, "a tenth"
    assert _TOTAL_FACTOR == 8, "eight of the largest"
    assert CONFIGURATION["Marmita"]["workers"] == 2, "two workers to a pod, as it is"


def test_the_grace_period_is_added_up_as_it_says() -> None:
    body, answer = "the longest body (`bodyTimeoutSeconds`)", "the longest answer (`requestTimeoutSeconds`)"
    parts: Values = {"preStopSeconds": 100, "bodyTimeoutSeconds": 1000, "requestTimeoutSeconds": 10000}
    deployment = only(render(values_of(INSTALLS[0]), parts), "Deployment")

    assert f"the hook, {body}, {answer}, and twenty seconds for the rest" in " ".join(guide.TEXT.split())
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 11120


def test_limits_on_memory_follow_the_rule() -> None:
    ((watching, worker, held),) = re.findall(
        r"limit = \((\d+) MB \+ workers \* \((\d+) MB \+ bufferMb \+ (\d+) \* maxBodyBytes\)\) \* 1\.25", guide.TEXT
    )

    def limit(workers: int, body: int) -> float:
        each = int(worker) * 10**6 + BUFFER + int(held) * body
        return 1.25 * (int(watching) * 10**6 + workers * each)

    def size(text: str) -> int:
        number, unit = re.fullmatch(r"(\d+)(Mi|M)", text).groups()  # type: ignore[union-attr]
        return int(number) * {"Mi": 2**20, "M": 10**6}[unit]

    def of_compose(compose: Any) -> int:
        return size(compose["services"]["marmita"]["deploy"]["resources"]["limits"]["memory"])

    body = VALUES["maxBodyBytes"]
    assert size(VALUES["resources"]["limits"]["memory"]) >= limit(CONFIGURATION["Marmita"]["workers"], body)
    assert of_compose(COMPOSE) >= limit(CONFIGURATION["Marmita"]["workers"], body)
    assert of_compose(guide.FILES["more.yaml"]) >= limit(4, body)
    assert size(guide.FILES["larger.yaml"]["resources"]["limits"]["memory"]) >= limit(4, body)
    assert size(VALUES["separate"]["resources"]["limits"]["memory"]) >= limit(CONFIGURATION["workers"], body)


def test_the_example_of_a_wait_is_right() -> None:
    """A pod's requests in progress, shared by its workers, at what one costs."""
    low, high = (float(number) for number in re.findall(r"between (0\.\d+) and (0\.\d+) milliseconds", guide.TEXT)[0])
    shared = VALUES["autoscaling"]["requestsInProgress"]["target"] / CONFIGURATION["Marmita"]["workers"]

    assert "two or three milliseconds" in guide.TEXT
    assert 1.5 < shared * low < shared * high < 3.5


def test_the_room_that_records_take_is_what_it_says(tmp_path: Path) -> None:
    """Measured on SQLite, on rows of the wine's size with ids as long as the longest that are usual."""
    said = r"takes about (\d+) bytes, with its indexes, and (\d+) if many come at a time; one with 1,000 rows (\d+) kB"
    plain = " ".join(guide.TEXT.split())
    (one, of_many, large) = re.findall(said, plain)[0]

    assert size_of_a_request(tmp_path / "one", rows=1, bundles=10_000) == pytest.approx(int(one), rel=0.1)
    together = size_of_a_request(tmp_path / "together", rows=1, bundles=100, requests=_MOST_ROWS)
    assert together == pytest.approx(int(of_many), rel=0.1)
    assert size_of_a_request(tmp_path / "many", rows=1000, bundles=100) == pytest.approx(int(large) * 1000, rel=0.1)
    (day, month) = re.findall(r"is (\d+) MB a day and ([\d.]+) GB in 30 days", plain)[0]
    assert int(one) * 86_400 / 1e6 == pytest.approx(float(day), rel=0.05)
    assert int(one) * 86_400 * 30 / 1e9 == pytest.approx(float(month), rel=0.05)
    (measurement, daily) = re.findall(r"of three models (\d+) kB, or ([\d.]+) MB a day", plain)[0]
    assert float(measurement) * 1000 * 24 * 3600 / SAVE_INTERVAL_S / 1e6 == pytest.approx(float(daily), rel=0.05)
    assert SAVE_INTERVAL_S == 600, "one round in ten minutes"


def size_of_a_request(home: Path, rows: int, bundles: int, requests: int = 1) -> float:
    """Bytes that one takes in a database that holds so many bundles of so many."""
    database = Database(default_url(home))
    numbers = np.random.default_rng(7).random((rows, 11 + 3), dtype=np.float32)
    kept = [Bundle("wine_quality", "uafhhmxfsk3z2ax4") for _ in range(bundles)]
    for bundle in kept:
        for number in range(requests):
            bundle.add(PredictionRequest("0" * 32, numbers[:, :11], numbers[:, 11:], 0.001 * (1 + number / 7)), 0)
    with database.writing() as session:
        write(session.connection(), kept)
    database.close()  # what is beside the file goes into it
    return (home / "records.db").stat().st_size / bundles / requests


def test_the_buffer_holds_as_many_requests_as_it_says() -> None:
    said = r"some ([\d,]+) requests of one row, or (\d+) of\s+1,000 rows"
    runbook = (RUNBOOKS / "MarmitaRecordsDropped.md").read_text()
    (few,), (same,) = re.findall(said, guide.TEXT), re.findall(said, runbook)

    assert few == same
    for number, rows in zip(few, (1, 1000), strict=True):
        one = 4 * rows * (11 + 3) + _OVERHEAD
        assert int(number.replace(",", "")) == pytest.approx(BUFFER / one, rel=0.05)
