"""Who becomes the champion."""

import pytest

from marmita.registry.card import Headline
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
