"""When a model is retrained, and when it is left as it is."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from marmita.records.operations.decisions import LEAVE, RETRAIN
from marmita.records.operations.reasons import ReasonCode
from marmita.shepherd.evidence import ChampionEvidence, Evidence
from marmita.shepherd.material import Material, TableMaterial
from marmita.shepherd.policy import Policy, PolicyDecision, backoff, decide
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


def decided(material: Material = MANY, **champion: Any) -> PolicyDecision:
    return decide(Evidence("a", replace(WELL, **champion), "", material), POLICY, NOW)


def codes(decision: PolicyDecision) -> list[ReasonCode]:
    return [reason.code for reason in decision.reasons]


@pytest.mark.parametrize("material", [MANY, FEW, FRESH, PriceMaterial("", None)])
def test_without_a_champion_there_must_be_a_new_one(material: Material) -> None:
    decision = decide(Evidence("a", None, "a:v1 is damaged", material), POLICY, NOW)

    assert (decision.action, codes(decision)) == (RETRAIN, [ReasonCode.NO_CHAMPION])
    assert "a:v1 is damaged" in decision.reasons[0].text


@pytest.mark.parametrize(
    ("material", "age"),
    [(MANY, []), (FEW, []), (FRESH, [ReasonCode.FRESH]), (PriceMaterial("", None), [])],
)
def test_a_model_with_which_nothing_is_wrong_is_left_as_it_is(material: Material, age: list[ReasonCode]) -> None:
    decision = decided(material)

    assert decision.action == LEAVE
    assert codes(decision) == [ReasonCode.NO_DRIFT, ReasonCode.ACCEPTABLE_ERROR, *age]
    drift, error, *_ = decision.reasons
    assert "900" in drift.text
    assert "500" in error.text
    assert "1.10" in error.text


def test_an_error_just_above_the_bound_is_told_with_the_digits_that_differ() -> None:
    decision = decided(MANY, error_ratio=1.504)

    assert (decision.action, codes(decision)) == (RETRAIN, [ReasonCode.HIGH_ERROR])
    (error,) = decision.reasons
    assert "1.504" in error.text
    assert "1.500" in error.text


@pytest.mark.parametrize(
    ("champion", "code", "value"),
    [(DRIFTED, ReasonCode.DRIFT, "input: alcohol, prediction: quality"), (WRONG, ReasonCode.HIGH_ERROR, "1.51")],
)
def test_one_that_drifts_or_is_wrong_is_retrained_if_there_is_something_to_learn_from(
    champion: dict[str, Any], code: ReasonCode, value: str
) -> None:
    decision = decided(MANY, **champion)
    assert (decision.action, codes(decision)) == (RETRAIN, [code])
    assert value in decision.reasons[0].text

    decision = decided(FEW, **champion)
    assert (decision.action, codes(decision)) == (LEAVE, [code, ReasonCode.TOO_FEW_NEW_LABELS])
    fault, obstacle = decision.reasons
    assert value in fault.text
    assert re.findall(r"\d+", obstacle.text) == ["99", "1"]


def test_all_that_is_wrong_is_said_before_all_that_prevents_a_retraining() -> None:
    waits: dict[str, Any] = {"tries": 1, "last_try": NOW}
    seen = replace(STALE, judged_from=NOW.date(), would_be_judged_from=STALE.newest)

    decision = decided(seen, **DRIFTED, **WRONG, **waits)

    assert decision.action == LEAVE
    faults = [ReasonCode.STALE, ReasonCode.DRIFT, ReasonCode.HIGH_ERROR]
    assert codes(decision) == [*faults, ReasonCode.NOT_COMPARABLE, ReasonCode.BACKOFF]


def test_an_error_at_the_bound_is_not_above_it() -> None:
    decision = decided(error_ratio=1.5)

    assert (decision.action, codes(decision)) == (LEAVE, [ReasonCode.NO_DRIFT, ReasonCode.ACCEPTABLE_ERROR])


def test_an_error_on_few_labelled_rows_says_nothing() -> None:
    decision = decided(error_ratio=9.0, labelled=99)

    assert (decision.action, codes(decision)) == (LEAVE, [ReasonCode.NO_DRIFT, ReasonCode.ERROR_UNKNOWN])
    assert "99" in decision.reasons[1].text
    assert decided(error_ratio=9.0, labelled=100).action == RETRAIN


def test_of_what_nobody_can_say_nothing_is_said() -> None:
    decision = decided(error_ratio=None, labelled=0, watched=False, looked_at=12)

    assert (decision.action, codes(decision)) == (LEAVE, [ReasonCode.DRIFT_UNKNOWN, ReasonCode.ERROR_UNKNOWN])
    drift, error = decision.reasons
    assert "12" in drift.text
    assert "0" in error.text


def test_prices_that_are_much_newer_make_a_forecaster_stale() -> None:
    decision = decided(STALE)

    assert (decision.action, codes(decision)) == (RETRAIN, [ReasonCode.STALE])
    for value in ("MSFT", "2026-03-03", "30 days"):
        assert value in decision.reasons[0].text


@pytest.mark.parametrize(
    ("judged_from", "action", "code"),
    [
        (None, RETRAIN, ReasonCode.AGE_UNKNOWN),
        (date(2011, 6, 1), RETRAIN, ReasonCode.AGE_UNKNOWN),
        (date(2026, 2, 20), LEAVE, ReasonCode.FRESH),
    ],
)
def test_one_of_which_nobody_knows_how_much_it_knows_is_stale_unless_it_must_be_fresh(
    judged_from: date | None, action: str, code: ReasonCode
) -> None:
    decision = decided(replace(FRESH, learnt_until=None, judged_from=judged_from))

    assert (decision.action, codes(decision)[-1]) == (action, code)


@pytest.mark.parametrize(
    ("material", "obstacles"),
    [
        (FRESH, []),
        (replace(FRESH, learnt_until=FRESH.newest), [ReasonCode.NO_NEWER_PRICES]),
        (PriceMaterial("", None), [ReasonCode.NO_TICKER]),
        (PriceMaterial("MSFT", None), [ReasonCode.NO_PRICES]),
    ],
)
@pytest.mark.parametrize(("champion", "fault"), [(DRIFTED, ReasonCode.DRIFT), (WRONG, ReasonCode.HIGH_ERROR)])
def test_a_forecaster_that_is_wrong_is_retrained_if_there_are_newer_prices(
    champion: dict[str, Any], fault: ReasonCode, material: Material, obstacles: list[ReasonCode]
) -> None:
    decision = decided(material, **champion)

    assert decision.action == (LEAVE if obstacles else RETRAIN)
    assert codes(decision) == [fault, *obstacles]


@pytest.mark.parametrize(
    ("days_later", "obstacles"), [(1, [ReasonCode.NOT_COMPARABLE]), (0, []), (-1, [])], ids=["later", "same", "earlier"]
)
def test_a_forecaster_that_has_seen_what_a_new_one_is_judged_by_is_left_as_it_is(
    days_later: int, obstacles: list[ReasonCode]
) -> None:
    from_prices = date(2024, 5, 6)
    material = replace(STALE, judged_from=from_prices + days_later * DAY, would_be_judged_from=from_prices)

    decision = decided(material)

    assert decision.action == (LEAVE if obstacles else RETRAIN)
    assert codes(decision) == [ReasonCode.STALE, *obstacles]
    for reason in decision.reasons[1:]:
        assert re.findall(r"[-\d]{10}", reason.text) == ["2024-05-06", "2024-05-07"]


@pytest.mark.parametrize(("tries", "days"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (500, 8)])
def test_after_each_try_in_vain_the_next_one_waits_for_longer(tries: int, days: int) -> None:
    assert backoff(tries, DAY) == days * DAY
    waits: dict[str, Any] = {"tries": tries, **DRIFTED}

    decision = decided(last_try=NOW - days * DAY + timedelta(minutes=1), **waits)
    assert (decision.action, codes(decision)) == (LEAVE, [ReasonCode.DRIFT, ReasonCode.BACKOFF])
    assert "2026-03-04 12:01 UTC" in decision.reasons[1].text
    decision = decided(last_try=NOW - days * DAY, **waits)
    assert (decision.action, codes(decision)) == (RETRAIN, [ReasonCode.DRIFT])


def test_a_stale_forecaster_waits_too() -> None:
    decision = decided(STALE, tries=1, last_try=NOW)

    assert (decision.action, codes(decision)) == (LEAVE, [ReasonCode.STALE, ReasonCode.BACKOFF])
