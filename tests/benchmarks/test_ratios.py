"""How the figures are computed that this service is held to."""

import pytest

from benchmarks.ratios import Target, ratios
from benchmarks.results import Flood, Footprint, Measurement, Ratio, Round, Spread
from benchmarks.scenarios import normal_after
from benchmarks.workloads import ONE_WINE, WINES_TOGETHER, Workload


def measurement(
    contender: str, route: str, workload: Workload, cpu_ms: list[float], p50_ms: float = 1.0
) -> Measurement:
    rounds = [
        Round(
            requests=100,
            seconds=1.0,
            requests_per_second=100.0,
            cpu_ms_per_request=cpu,
            rows_per_cpu_second=1000 * workload.rows / cpu,
            p50_ms=p50_ms,
            p99_ms=2 * p50_ms,
            generator_busy=0.1,
        )
        for cpu in cpu_ms
    ]
    return Measurement(contender=contender, route=route, workload=workload.name, rounds=rounds, spread={})


def named(found: list[Ratio], what: str, figure: str) -> Ratio:
    return next(one for one in found if one.what == what and one.figure == figure)


AGAINST_FASTAPI = ("one wine, 32 clients: JSON against FastAPI by hand", "rows per CPU second")


def test_contenders_are_compared_round_by_round_and_the_middle_counts() -> None:
    mine = measurement("marmita", "JSON", WINES_TOGETHER, [0.25, 0.5, 0.25])
    other = measurement("fastapi", "JSON", WINES_TOGETHER, [0.4, 1.0, 0.5])

    found = named(ratios([mine, other], None, None), *AGAINST_FASTAPI)

    assert (found.value, found.least, found.most) == (2.0, 1.6, 2.0)
    assert found.target == "≥ 2 ×"  # noqa: RUF001
    assert found.reached is True


def test_a_target_that_is_missed_is_said() -> None:
    mine = measurement("marmita", "JSON", WINES_TOGETHER, [1.0])
    other = measurement("fastapi", "JSON", WINES_TOGETHER, [0.8])

    found = named(ratios([mine, other], None, None), *AGAINST_FASTAPI)

    assert found.value == 0.8
    assert found.reached is False


def test_less_is_better_where_a_bound_is_from_above() -> None:
    mine = measurement("marmita", "tensors", WINES_TOGETHER, [0.2])
    other = measurement("mosec", "JSON", WINES_TOGETHER, [0.1])
    found = ratios([mine, other], None, None)
    cpu = named(found, "one wine, 32 clients: tensors against mosec", "CPU per request")

    assert cpu.value == 2.0
    assert cpu.reached is True


def test_a_tie_is_not_ahead() -> None:
    mine = measurement("marmita", "tensors", ONE_WINE, [0.2], p50_ms=1.0)
    other = measurement("mosec", "JSON", ONE_WINE, [0.1], p50_ms=1.0)
    found = ratios([mine, other], None, None)

    assert named(found, "one wine, 1 client: tensors against mosec", "p50").reached is False


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    mine = measurement("marmita", "JSON", WINES_TOGETHER, [1.0])
    broken = measurement("fastapi", "JSON", WINES_TOGETHER, [])

    for found in (ratios([], None, None), ratios([mine, broken], None, None)):
        assert all(one.value is None and one.reached is None for one in found)


def flood(**changes: object) -> Flood:
    good: dict[str, object] = {
        "workload": "one wine",
        "capacity_per_second": 1000.0,
        "offered_per_second": 4000.0,
        "seconds": 30.0,
        "answers": {200: 30_000, 429: 90_000},
        "unanswered": 0,
        "accepted_p50_ms": 200.0,
        "accepted_p99_ms": 500.0,
        "refused_p50_ms": 5.0,
        "refused_p99_ms": 50.0,
        "memory_before_mb": 300.0,
        "memory_early_mb": 310.0,
        "memory_most_mb": 320.0,
        "memory_after_mb": 315.0,
        "usual_p50_ms": 1.0,
        "normal_after_seconds": 0.5,
        "generator_busy": 0.5,
    }
    return Flood.model_validate(good | changes)


FLOODED = "four times what it can take"


def test_a_flood_that_is_weathered_reaches_all_its_targets() -> None:
    found = [one for one in ratios([], flood(), None) if one.what == FLOODED]

    assert len(found) == 6
    assert all(one.reached for one in found)


@pytest.mark.parametrize(
    ("changes", "figure"),
    [
        ({"accepted_p99_ms": 1500.0}, "p99 of those accepted"),
        ({"answers": {200: 30_000, 429: 89_000, 503: 1000}}, "answered with neither 200 nor 429"),
        ({"unanswered": 7}, "answered with neither 200 nor 429"),
        ({"refused_p50_ms": 800.0}, "p50 of those refused"),
        ({"memory_most_mb": 620.0}, "most memory against the first seconds'"),
        ({"normal_after_seconds": None}, "back to normal after"),
    ],
)
def test_a_flood_that_is_not_misses_its_target(changes: dict[str, object], figure: str) -> None:
    assert named(ratios([], flood(**changes), None), FLOODED, figure).reached is False


def test_memory_and_start_are_held_to_their_bounds() -> None:
    small, large = Spread(median=200, least=190, most=210), Spread(median=300, least=290, most=310)
    quick = Spread(median=2.5, least=2.4, most=2.6)
    footprint = Footprint(ready_seconds=quick, worker_mb=small, worker_after_load_mb=large, all_processes_mb=large)
    found = {one.figure: one for one in ratios([], None, footprint)}

    assert found["resident memory after work"].reached is False
    assert found["from start to ready"].reached is True


def test_targets_say_what_they_ask_for() -> None:
    assert str(Target("≤", 3.5, "s")) == "≤ 3.5 s"
    assert str(Target("=", 0, "")) == "= 0"


def window(start: float, p50: float, status: int = 200) -> dict[str, float]:
    return {"from": start, "p50": p50, "worst_status": status}


def test_normal_is_what_lasts() -> None:
    late = [window(0.0, 0.9), window(0.1, 0.001), window(0.2, 0.9), window(0.3, 0.001), window(0.4, 0.001)]

    assert normal_after(late, 0.001) == 0.3
    assert normal_after(late[:3], 0.001) is None
    assert normal_after([window(0.0, 0.001), window(0.1, 0.002)], 0.001) == 0.0
    assert normal_after([window(0.0, 0.001, 503), window(0.1, 0.001)], 0.001) == 0.1
    assert normal_after([window(0.7, 0.001)], 0.001) == 0.7
    assert normal_after([], 0.001) is None
