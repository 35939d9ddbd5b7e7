"""What a training says to its trainer is told from all else that it prints."""

import pytest

from marmita.training import messages
from marmita.training.messages import ERROR, PROGRESS


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (PROGRESS, {"step": "fitting", "done": 0.5, "seconds_left": None}),
        (ERROR, {"code": "ragged_row", "message": "linha 3: só 2 células\nna linha", "row": 3}),
    ],
)
def test_a_message_is_read_as_it_was_sent(
    kind: str, content: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    messages.send(kind, content)

    (line,) = capsys.readouterr().out.splitlines()
    assert messages.read(line) == (kind, content)


def test_a_message_fits_into_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    long = "\U0001f371" * 5_000
    messages.send(ERROR, {"code": "invalid_value", "message": long, "column": long, "value": long})

    line = capsys.readouterr().out
    assert len(line.encode()) < 8_000
    read = messages.read(line.strip())
    assert read is not None
    assert read[1]["code"] == "invalid_value"


@pytest.mark.parametrize(
    "line", ["", "fitting", '{"progress": {}}', "marmita-training", "marmita-training [1]", "marmita-training {"]
)
def test_any_other_line_is_no_message(line: str) -> None:
    assert messages.read(line) is None
