"""What the guide counts and adds up is what the code and the configuration say."""

import re
from typing import Any

from marmita.batching import INLINE_ROWS
from marmita.bodies import _HELD
from marmita.contract import MAX_ROWS
from marmita.drain import NOTICE_S
from tests.deploy.chart.rendering import KUBERNETES, only, render
from tests.deploy.chart.values import Values
from tests.deploy.deploying import guide
from tests.deploy.deploying.documents import COMPOSE, CONFIGURATION, VALUES
from tests.deploy.deploying.installs import INSTALLS, values_of


def test_numbers_are_those_of_the_code() -> None:
    for sentence in (
        f"Up to {INLINE_ROWS} rows are computed on the event loop",
        f"`traffic.max_concurrency` ({CONFIGURATION['traffic']['max_concurrency']})",
        f"{MAX_ROWS:,} rows, the most that a request may have",
        f"{_HELD} * maxBodyBytes",
        f"Kubernetes {KUBERNETES[0]} or newer",
        f"{VALUES['autoscaling']['requestsInProgress']['target']} of them at a pod",
        "`instance:marmita_requests_in_progress:ratio` has the same number",
    ):
        assert sentence in " ".join(guide.TEXT.split()), sentence
    assert NOTICE_S == 1, "one more second"
    assert _HELD == 8, "eight of the largest"
    assert CONFIGURATION["Marmita"]["workers"] == 2, "two workers to a pod, as it is"


def test_the_grace_period_is_added_up_as_it_says() -> None:
    body, answer = "the longest body (`bodyTimeoutSeconds`)", "the longest answer (`requestTimeoutSeconds`)"
    parts: Values = {"preStopSeconds": 100, "bodyTimeoutSeconds": 1000, "requestTimeoutSeconds": 10000}
    deployment = only(render(values_of(INSTALLS[0]), parts), "Deployment")

    assert f"the hook, {body}, {answer}, and ten seconds for the rest" in " ".join(guide.TEXT.split())
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 11110


def test_limits_on_memory_follow_the_rule() -> None:
    ((watching, worker, held),) = re.findall(
        r"limit = \((\d+) MB \+ workers \* \((\d+) MB \+ (\d+) \* maxBodyBytes\)\) \* 1\.25", guide.TEXT
    )

    def limit(workers: int, body: int) -> float:
        return 1.25 * (int(watching) * 10**6 + workers * (int(worker) * 10**6 + int(held) * body))

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
    for model in VALUES["models"].values():
        assert size(model["resources"]["limits"]["memory"]) >= limit(CONFIGURATION["workers"], body)


def test_the_example_of_a_wait_is_right() -> None:
    """A pod's requests in progress, shared by its workers, at what one costs."""
    low, high = (float(number) for number in re.findall(r"between (0\.\d+) and (0\.\d+) milliseconds", guide.TEXT)[0])
    shared = VALUES["autoscaling"]["requestsInProgress"]["target"] / CONFIGURATION["Marmita"]["workers"]

    assert "about ten milliseconds" in guide.TEXT
    assert 8 < shared * low < shared * high < 12
