"""When a model is retrained, and when it is left as it is."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from marmita.records.operations.decisions import LEAVE, RETRAIN
from marmita.shepherd.evidence import ChampionEvidence, Evidence
from marmita.shepherd.material import Material, TableMaterial
from marmita.shepherd.policy import Policy, backoff, decide
from marmita.shepherd.price_material import PriceMaterial

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = Policy(max_age=30 * DAY, error_ratio=1.5, min_labels=100, backoff=DAY)
WELL = ChampionEvidence(
    tag="a:v1", made=NOW - 9 * DAY, rows=900, looked_at=900, watched=True, alarms=[], labelled=500, error_ratio=1.1
)
MANY, FEW = TableMaterial(new_labels=100), TableMaterial(new_labels=99)
FRESH = PriceMaterial("MSFT", newest=date(2026, 3, 3), learnt_until=date(2026, 2, 2))
STALE = replace(FRESH, learnt_until=date(2026, 2, 1))
DRIFTED, WRONG = {"alarms": ["input: alcohol", "prediction: quality"]}, {"error_ratio": 1.51}


def decided(material: Material = MANY, **champion: Any) -> tuple[str, str]:
    """The action, and the reasons as one text."""
    verdict = decide(Evidence("a", replace(WELL, **champion), "", material), POLICY, NOW)
    return verdict.action, "; ".join(verdict.reasons)


@pytest.mark.parametrize("material", [MANY, FEW, FRESH, PriceMaterial("", None)])
def test_without_a_champion_there_must_be_a_new_one(material: Material) -> None:
    verdict = decide(Evidence("a", None, "a:v1 is damaged", material), POLICY, NOW)

    assert verdict.action == RETRAIN
    assert verdict.reasons == ["there is no champion that is fit to be served: a:v1 is damaged"]


@pytest.mark.parametrize("material", [MANY, FEW, FRESH, PriceMaterial("", None)])
def test_a_model_with_which_nothing_is_wrong_is_left_as_it_is(material: Material) -> None:
    action, reasons = decided(material)

    assert action == LEAVE
    assert "there is no drift in 900 rows" in reasons
    assert "the error on 500 labelled rows is 1.10 times the one on held-out rows" in reasons


def test_an_error_just_above_the_bound_is_told_with_the_digits_that_differ() -> None:
    action, reasons = decided(MANY, error_ratio=1.504)

    assert action == RETRAIN
    assert "is 1.504 times the one on held-out rows, and the limit is 1.500 times" in reasons


@pytest.mark.parametrize(
    ("champion", "said"), [(DRIFTED, "input: alcohol, prediction: quality drifted"), (WRONG, "1.51 times")]
)
def test_one_that_drifts_or_is_wrong_is_retrained_if_there_is_something_to_learn_from(
    champion: dict[str, Any], said: str
) -> None:
    action, reasons = decided(MANY, **champion)
    assert action == RETRAIN
    assert said in reasons

    action, reasons = decided(FEW, **champion)
    assert action == LEAVE
    assert said in reasons
    assert "nothing new to learn from: 99 rows were labelled since it was made, 1 too few" in reasons


def test_an_error_at_the_bound_is_not_above_it() -> None:
    assert decided(error_ratio=1.5)[0] == LEAVE


def test_an_error_on_few_labelled_rows_says_nothing() -> None:
    action, reasons = decided(error_ratio=9.0, labelled=99)

    assert action == LEAVE
    assert "99 labelled rows are too few" in reasons
    assert decided(error_ratio=9.0, labelled=100)[0] == RETRAIN


def test_of_what_nobody_can_say_nothing_is_said() -> None:
    action, reasons = decided(error_ratio=None, labelled=0, watched=False, looked_at=12)

    assert action == LEAVE
    assert "its drift is unknown: 12 rows are too few" in reasons
    assert "its error is unknown: 0 labelled rows are too few" in reasons


def test_prices_that_are_much_newer_make_a_forecaster_stale() -> None:
    action, reasons = decided(STALE)

    assert action == RETRAIN
    assert (
        reasons
        == "it is stale: there are prices of MSFT up to 2026-03-03, 30 days newer than those that it was made from"
    )


@pytest.mark.parametrize(
    ("judged_from", "action"), [(None, RETRAIN), (date(2011, 6, 1), RETRAIN), (date(2026, 2, 20), LEAVE)]
)
def test_one_of_which_nobody_knows_how_much_it_knows_is_stale_unless_it_must_be_fresh(
    judged_from: date | None, action: str
) -> None:
    assert decided(replace(FRESH, learnt_until=None, judged_from=judged_from))[0] == action


@pytest.mark.parametrize("champion", [DRIFTED, WRONG])
def test_a_forecaster_that_is_wrong_is_retrained_if_there_are_newer_prices(champion: dict[str, Any]) -> None:
    assert decided(FRESH, **champion)[0] == RETRAIN

    known, nameless = replace(FRESH, learnt_until=FRESH.newest), PriceMaterial("", None)
    for material, said in (
        (known, "it knows all prices of MSFT"),
        (nameless, "MARMITA_SHEPHERD_TICKER names no stock"),
        (PriceMaterial("MSFT", None), "no prices of MSFT are stored"),
    ):
        action, reasons = decided(material, **champion)
        assert action == LEAVE
        assert said in reasons


@pytest.mark.parametrize(("days_later", "action"), [(1, LEAVE), (0, RETRAIN), (-1, RETRAIN)])
def test_a_forecaster_that_has_seen_what_a_new_one_is_judged_by_is_left_as_it_is(days_later: int, action: str) -> None:
    from_prices = date(2024, 5, 6)
    material = replace(STALE, judged_from=from_prices + days_later * DAY, would_be_judged_from=from_prices)

    verdict, reasons = decided(material)

    assert verdict == action
    assert ("scored on days from 2024-05-06 on, of which the champion has seen those before" in reasons) == (
        action == LEAVE
    )


@pytest.mark.parametrize(("tries", "days"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (500, 8)])
def test_after_each_try_in_vain_the_next_one_waits_for_longer(tries: int, days: int) -> None:
    assert backoff(tries, DAY) == days * DAY
    waits: dict[str, Any] = {"tries": tries, **DRIFTED}

    action, reasons = decided(last_try=NOW - days * DAY + timedelta(minutes=1), **waits)
    assert action == LEAVE
    assert "lasts until 2026-03-04 12:01 UTC" in reasons
    assert decided(last_try=NOW - days * DAY, **waits)[0] == RETRAIN


def test_a_stale_forecaster_waits_too() -> None:
    assert decided(STALE, tries=1, last_try=NOW)[0] == LEAVE
