"""Which packed models a contract takes."""

from marmita.contract.rows import same_interface

FEATURES = {"features": [{"name": "a", "unit": "m", "low": 0, "high": 1}]}


def test_classes_belong_to_the_contract() -> None:
    one = FEATURES | {"classes": ["a", "b"]}

    assert same_interface(one, FEATURES | {"classes": ["a", "b"]})
    assert not same_interface(one, FEATURES | {"classes": ["b", "a"]})
    assert not same_interface(one, FEATURES | {"classes": ["a", "b", "c"]})


def test_a_version_from_before_says_no_classes_and_is_served() -> None:
    assert same_interface(FEATURES, FEATURES | {"classes": ["a", "b"]})


def test_anything_else_must_be_there_on_both_sides() -> None:
    assert not same_interface(FEATURES, FEATURES | {"horizon": 10})
