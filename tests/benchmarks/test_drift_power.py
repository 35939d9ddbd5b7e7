"""The study of false and of missed alarms, in small: the figures in the documentation come from the large one."""

import pytest

from benchmarks.drift_power import STREAMS, TABLES, alarm_rate, stock_alarm, table, table_alarm


@pytest.mark.parametrize("size", [50, 500])
def test_a_stable_table_hardly_ever_raises_an_alarm(size: int) -> None:
    assert alarm_rate(table_alarm, TABLES["nothing changed"], size, repetitions=100) <= 0.02


@pytest.mark.parametrize(
    ("change", "size", "seen"),
    [
        ("by 1", 50, 0.95),
        ("by 0.5", 500, 0.4),
        ("2 times as wide", 500, 0.9),
        ("40, 35 and 25 %", 500, 0.6),
    ],
)
def test_a_large_change_of_a_table_is_seen(change: str, size: int, seen: float) -> None:
    assert alarm_rate(table_alarm, TABLES[change], size, repetitions=40) >= seen


def test_a_change_that_does_not_matter_is_passed_over() -> None:
    assert alarm_rate(table_alarm, TABLES["one feature moved by 0.1 standard deviations"], 500, repetitions=40) <= 0.05


@pytest.mark.parametrize("stream", ["nothing changed", "nothing changed, each stock asked on 5 days"])
def test_stable_stocks_hardly_ever_raise_an_alarm(stream: str) -> None:
    assert alarm_rate(stock_alarm, STREAMS[stream], 100, repetitions=50) <= 0.06


def test_closes_that_are_not_of_days_are_seen() -> None:
    assert alarm_rate(stock_alarm, STREAMS["0.1 times: closes of minutes, not of days"], 100, repetitions=20) >= 0.8


def test_the_table_has_a_line_for_each_stream() -> None:
    lines = table("rows", lambda _generator, _stream, size: size >= 500, {"one": TABLES["by 1"]}, repetitions=2)

    assert lines.splitlines() == [
        "| rows | 50 | 100 | 500 | 2,000 |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| one | 0.0% | 0.0% | 100.0% | 100.0% |",
    ]
