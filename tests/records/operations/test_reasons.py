"""A reason has a code for programs, whatever release wrote it."""

import pytest

from marmita.records.operations.reasons import Reason, ReasonCode


@pytest.mark.parametrize("code", ReasonCode)
def test_a_stored_code_is_read_back(code: ReasonCode) -> None:
    assert ReasonCode.of(str(code)) is code
    assert code.meaning


@pytest.mark.parametrize("stored", ["", "DRIFT", "code_of_a_newer_release"])
def test_a_code_of_another_release_is_unknown(stored: str) -> None:
    assert ReasonCode.of(stored) is ReasonCode.UNKNOWN


def test_a_reason_shows_its_code_before_its_text() -> None:
    assert str(Reason(ReasonCode.DRIFT, "input: alcohol")) == "[drift] input: alcohol"
