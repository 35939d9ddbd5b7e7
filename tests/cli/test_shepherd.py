"""The history shows the code of each reason beside its text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from marmita.cli.parser import parser
from marmita.records.database.database import Database, default_url
from marmita.records.database.tables import Decision
from marmita.records.operations import decisions
from marmita.records.operations.reasons import Reason, ReasonCode

NAME = "wine_quality"
DRIFT, FEW = Reason(ReasonCode.DRIFT, "it drifted"), Reason(ReasonCode.TOO_FEW_NEW_LABELS, "9 labels")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The records of the command, with one decision."""
    own = Database(default_url(tmp_path))
    monkeypatch.setattr("marmita.cli.shepherd.database", lambda: own)
    decisions.begin(own, NAME, decisions.LEAVE, [DRIFT, FEW], {})
    yield own
    own.close()


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """The reasons in the only line of the history."""
    options = parser().parse_args(["shepherd", "history", "--model", NAME])
    options.run(options)
    title, line = capsys.readouterr().out.splitlines()
    return line[title.index("reasons") :]


def test_each_reason_has_its_code(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == "[drift] it drifted; [too_few_new_labels] 9 labels"


def test_a_decision_without_codes_has_unknown_ones(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    with database.writing() as session:
        session.execute(update(Decision).values(reason_codes=[]))

    assert shown(capsys) == "[unknown] it drifted; [unknown] 9 labels"
