"""Who becomes the champion."""

import pytest

from marmita.registry.card import Headline, distinct_figures
from marmita.training.gate import verdict


def headline(value: float, *, higher: bool) -> Headline:
    return Headline(metric="m", value=value, baseline="b", baseline_value=0.5, higher_is_better=higher)


@pytest.mark.parametrize(
    ("value", "higher", "champion", "promoted"),
    [
        (0.6, True, None, True),
        (0.5, True, None, False),
        (0.4, True, None, False),
        (0.4, False, None, True),
        (0.6, False, None, False),
        (0.6, True, 0.55, True),
        (0.6, True, 0.6, True),
        (0.6, True, 0.65, False),
        (0.4, False, 0.45, True),
        (0.4, False, 0.35, False),
        (0.6, True, float("nan"), True),
        (float("nan"), True, None, False),
    ],
)
def test_a_model_must_beat_its_baseline_and_not_be_worse_than_the_champion(
    value: float, higher: bool, champion: float | None, promoted: bool
) -> None:
    judged = verdict(headline(value, higher=higher), ("m:old", champion) if champion is not None else None)

    assert judged.promoted is promoted
    assert judged.reason


@pytest.mark.parametrize(("value", "promoted"), [(0.49, True), (0.504, True), (0.506, False)])
def test_with_a_tolerance_as_good_as_the_baseline_is_good_enough(value: float, promoted: bool) -> None:
    close = headline(value, higher=False).model_copy(update={"tolerance": 0.01})

    assert verdict(close, None).promoted is promoted


def test_a_flaw_disqualifies_the_best_score() -> None:
    judged = verdict(headline(0.9, higher=True), None, flaw="its interval is too narrow")

    assert judged.promoted is False
    assert judged.reason == "its interval is too narrow"


def test_a_champion_that_is_not_compared_is_in_the_verdict() -> None:
    promoted = verdict(headline(0.9, higher=True), None, not_compared="it has other columns")
    rejected = verdict(headline(0.4, higher=True), None, not_compared="it has other columns")

    assert promoted.promoted is True
    assert promoted.reason.endswith("the champion is not compared: it has other columns")
    assert rejected.promoted is False


def test_scores_that_differ_are_written_with_the_digits_that_differ() -> None:
    judged = verdict(headline(0.46871, higher=False), ("m:old", 0.46868))

    assert judged.promoted is False
    assert "m 0.46871 against 0.46868" in judged.reason


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([0.5, 0.25], ["0.5000", "0.2500"]),
        ([0.5, 0.5], ["0.5000", "0.5000"]),
        ([0.46871, 0.46868, 0.5], ["0.46871", "0.46868", "0.50000"]),
        ([1.0, 1.0 + 2**-52], ["1.0000000000000000", "1.0000000000000002"]),
        ([1e-30, 2e-30], ["1e-30", "2e-30"]),
        ([float("nan"), 0.5], ["nan", "0.5000"]),
    ],
)
def test_figures_that_differ_look_different(values: list[float], written: list[str]) -> None:
    assert distinct_figures(*values) == written
