"""What the pages say of the code is so: its layers, and its messages."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import ADD_A_MODEL, prose
from tests.e2e.server import ROOT

TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"


def cells(text: str) -> list[list[str]]:
    """The cells of all lines of tables."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]


def test_the_layers_are_those_that_are_checked() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == ["marmita"]]
    written = page.partition("<!-- layers -->")[2].partition("<!-- end of layers -->")[0]

    shown = [re.findall(r"`(\w+)`", first) for first, *_ in cells(written)[2:]]
    assert shown == [re.findall(r"\w+", layer) for layer in layers]


def messages(page: Path) -> list[str]:
    """What stands as code at the beginning of a table's line: a part of a message."""
    tables = re.findall(r"^\| message \|.*?(?=\n\n|\Z)", prose(page), re.DOTALL | re.MULTILINE)
    firsts = [first.strip() for table in tables for first, *_ in cells(table)]
    return [found[1] for first in firsts if (found := re.match(r"`([^`]+)`", first))]


@pytest.mark.parametrize("page", [TROUBLESHOOTING, ADD_A_MODEL], ids=lambda page: page.stem)
def test_messages_are_those_of_the_code(page: Path) -> None:
    files = [*(ROOT / "marmita").rglob("*.py"), ROOT / "Makefile"]
    said = [file.read_text() for file in files]

    assert len(messages(page)) > 5
    assert [message for message in messages(page) if not any(message in text for text in said)] == []
