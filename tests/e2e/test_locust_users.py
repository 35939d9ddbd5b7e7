"""The load test's users ask as real ones do, and would notice an answer that can't be right.

Locust patches the process that imports it, so each of these tests has it in another one.
"""

import json
import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest

from bentos.stock_forecast.contract import WINDOW
from marmita.records.prices.time_split import first_unseen
from marmita.training.rows import is_held_out, read_rows
from tests.e2e.server import ROOT
from tests.e2e.users import ASKED, LAST, RIGHT, USERS
from tests.messages import mentions
from tests.samples import CLASSIFY, FORECAST, SCORE, exams, wines
from training import DATA

WRONG: list[tuple[str, str, Any]] = [
    (CLASSIFY, "probabilities.normal", 0.2),
    (CLASSIFY, "probabilities", {"normal": 1.2, "suspect": -0.1, "pathological": -0.1}),
    (CLASSIFY, "probabilities", {"normal": 0.3, "suspect": 0.7}),
    (CLASSIFY, "probabilities.normal", "0.1"),
    (CLASSIFY, "probabilities.normal", float("nan")),
    (CLASSIFY, "status", "pathological"),
    (CLASSIFY, "status", "fine"),
    (CLASSIFY, "unusual", ["alcohol"]),
    (CLASSIFY, "model", "wine_quality:abc"),
    (CLASSIFY, "model", "fetal_health:"),
    (SCORE, "quality", 6.5),
    (SCORE, "quality", float("nan")),
    (SCORE, "interval.low", 7.0),
    (SCORE, "interval.coverage", 90),
    (SCORE, "interval", {"low": 4.0, "high": 6.0}),
    (SCORE, "unusual", ["histogram_min"]),
    (SCORE, "model", "fetal_health:abc"),
    (FORECAST, "path.1.step", 3),
    (FORECAST, "path", RIGHT[FORECAST]["path"][:1]),
    (FORECAST, "path.0.low", LAST + 0.5),
    (FORECAST, "path.0.high", float("nan")),
    (FORECAST, "path.0", {"step": 1, "close": LAST * 3, "low": LAST * 2, "high": LAST * 4}),
    (FORECAST, "model", "stock_forecast"),
]


def changed(answer: Any, path: str, value: Any) -> Any:
    """The answer with another value in one place."""
    answer = deepcopy(answer)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = answer
    for parent in parents:
        place = place[parent]
    place[last] = value
    return answer


def within_locustfile(script: str, given: Any) -> Any:
    """What a script makes of what it is `given`, where the locustfile is imported."""
    command = f"import json, sys, locustfile\ngiven = json.load(sys.stdin)\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ASKING = """
print(json.dumps([
    [name, user.route, user.weight, [user.traffic.rows() for _ in range(given)]]
    for name, user in locustfile.USERS.items()
]))
"""
EVALUATOR = """
users = {user.route: user.traffic for user in locustfile.USERS.values()}
print(json.dumps([users[route].wrong(rows, json.dumps(answers).encode()) for route, rows, answers in given]))
"""
TICK = """
from argparse import Namespace
runner = Namespace(environment=Namespace(parsed_options=Namespace(num_users=20, run_time=100)))
def users(shape, second):
    shape.runner, shape.get_run_time = runner, lambda: second
    return (shape.tick() or [None])[0]
print(json.dumps({name: [users(shape(), second) for second in given] for name, shape in locustfile.SHAPES.items()}))
"""


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str | None]:
    """What the users say of each answer, by the answer."""
    answers: list[tuple[str, Any]] = [(route, [changed(RIGHT[route], path, value)]) for route, path, value in WRONG]
    for route, right in RIGHT.items():
        answers += [(route, [right]), (route, []), (route, [right, right]), (route, "fine")]
    said = within_locustfile(EVALUATOR, [(route, ASKED[route], answer) for route, answer in answers])
    return {json.dumps(answer): verdict for answer, verdict in zip(answers, said, strict=True)}


@pytest.mark.parametrize("route", USERS)
def test_a_right_answer_is_fine_and_one_for_each_row(verdicts: dict[str, str | None], route: str) -> None:
    assert verdicts[json.dumps([route, [RIGHT[route]]])] is None
    for answers in ([], [RIGHT[route]] * 2):
        assert mentions(str(verdicts[json.dumps([route, answers])]), "answers", "rows")
    assert verdicts[json.dumps([route, "fine"])]


@pytest.mark.parametrize(("route", "path", "value"), WRONG)
def test_an_answer_that_can_not_be_right_is_noticed(
    verdicts: dict[str, str | None], route: str, path: str, value: Any
) -> None:
    assert verdicts[json.dumps([route, [changed(RIGHT[route], path, value)]])]


def test_a_value_that_can_not_be_is_noticed_within_its_interval() -> None:
    best = RIGHT[SCORE] | {"quality": 11.0, "interval": {"low": 9.0, "high": 12.0, "coverage": 0.9}}

    (verdict,) = within_locustfile(EVALUATOR, [(SCORE, ASKED[SCORE], [best])])

    assert mentions(verdict, "quality")


def test_users_ask_as_real_ones_do_with_rows_that_no_model_was_trained_on() -> None:
    asked = {route: (name, weight, found) for name, route, weight, found in within_locustfile(ASKING, 50)}

    assert {route: name for route, (name, _, _) in asked.items()} == USERS
    assert {route: weight for route, (_, weight, _) in asked.items()} == {CLASSIFY: 6, SCORE: 1, FORECAST: 3}
    sizes = {route: {len(rows) for rows in found} for route, (_, _, found) in asked.items()}
    assert (sizes[CLASSIFY], sizes[FORECAST]) == ({1}, {5})
    assert all(100 <= size <= 500 for size in sizes[SCORE])
    assert len(sizes[SCORE]) > 1
    for route, real in ((CLASSIFY, exams(10_000)["exams"]), (SCORE, wines(10_000)["wines"])):
        known = [row for rows in asked[route][2] for row in rows]
        assert all(is_held_out(list(row.values())) for row in known)
        assert all(row in real for row in known[:200])
    horizons = {one["horizon"] for rows in asked[FORECAST][2] for one in rows}
    assert horizons == set(range(1, 11))
    days = [row["Adj Close"] for row in read_rows(DATA / "msft_daily.csv", ["Adj Close"])]
    unknown = days[first_unseen(len(days)) :]
    windows = [unknown[start : start + WINDOW] for start in range(len(unknown))]
    assert all(one["closes"] in windows for rows in asked[FORECAST][2] for one in rows)


def test_it_imports_nothing_of_training() -> None:
    """Locust patches the process that imports it."""
    of_training = "pandas", "sklearn", "tensorflow", "keras", "onnx", "joblib"
    found = "print(json.dumps([name for name in given if name in sys.modules]))"

    assert within_locustfile(found, of_training) == []


def test_shapes_are_what_they_are_called() -> None:
    assert within_locustfile(TICK, list(range(0, 101, 10))) == {
        "steady": [20] * 10 + [None],
        "step": [4, 4, 8, 8, 12, 12, 16, 16, 20, 20, None],
        "spike": [2, 2, 2, 2, 20, 20, 2, 2, 2, 2, None],
    }
