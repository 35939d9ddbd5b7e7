"""`docs/models.md` keeps its promises: every score is what training gives, and every picture is there."""

import re

import pytest

from marmita import discovery
from marmita.cli.docs import END, PAGES
from marmita.training.scores import scores
from tests.e2e.conftest import Trained
from tests.e2e.server import ROOT

pytestmark = pytest.mark.timeout(900)  # the models are trained for real

PAGE = (ROOT / "docs" / PAGES["scores"].file).read_text()


def test_the_scores_are_what_training_gives(trained: Trained) -> None:
    """To two per cent: the last digits differ between processors."""
    written = PAGE.partition("<!-- generated: scores -->\n\n")[2].partition(END)[0]
    made = scores([trained.cards[name] for name in discovery.names()])
    number = re.compile(r"\d+\.\d+")
    table, again = written.partition("\n\n")[0], made.partition("\n\n")[0]

    assert number.sub("", table) == number.sub("", again)
    assert [float(n) for n in number.findall(table)] == pytest.approx(
        [float(n) for n in number.findall(again)], rel=0.02, abs=0.005
    )


def test_the_pictures_are_there() -> None:
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", PAGE)

    assert {picture.rpartition("_")[0] for picture in pictures} == set(discovery.names())
    for picture in pictures:
        assert (ROOT / "docs" / picture).read_bytes().startswith(b"\x89PNG")
