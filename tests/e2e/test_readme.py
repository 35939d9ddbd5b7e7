"""The README keeps its promises: every score is what training gives."""

import json
import re

import httpx
import pytest

from marmita import discovery
from marmita.training.readme import BEGIN, END, scores
from tests.e2e.conftest import Trained
from tests.e2e.server import ROOT, Server

pytestmark = pytest.mark.timeout(900)  # some need models that are trained for real

README = (ROOT / "README.md").read_text()


def test_the_curl_that_make_serve_prints_works(colocated: Server) -> None:
    (body,) = re.findall(r"^WINE = (.*?\}\]\})$", (ROOT / "Makefile").read_text(), re.DOTALL | re.MULTILINE)

    answer = httpx.post(f"{colocated.url}/wine-quality/score", json=json.loads(body.replace("\\\n", "")))

    assert answer.status_code == 200


def test_the_scores_are_what_training_gives(trained: Trained) -> None:
    """To two per cent: the last digits differ between processors."""
    written = README.partition(BEGIN)[2].partition(END)[0]
    made = scores([trained.cards[name] for name in discovery.names()])
    number = re.compile(r"\d+\.\d+")
    table, again = written.partition("\n\n")[0], made.partition("\n\n")[0]

    assert number.sub("", table) == number.sub("", again)
    assert [float(n) for n in number.findall(table)] == pytest.approx(
        [float(n) for n in number.findall(again)], rel=0.02, abs=0.005
    )


def test_the_pictures_are_there() -> None:
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
