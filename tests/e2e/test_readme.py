"""The README keeps its promises: every `curl` works, every score is what training gives."""

import json
import re
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest

from marmita import discovery
from marmita.cli import serve
from marmita.training.readme import BEGIN, END, scores
from tests.e2e.conftest import Trained
from tests.e2e.server import ROOT, Server

pytestmark = pytest.mark.timeout(900)  # some need models that are trained for real

README = (ROOT / "README.md").read_text()
TENSORS = "/v2/models/wine_quality/infer"
CURLS = [
    command
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for command in re.split(r"\n(?=curl )", block.strip())
]


def test_there_is_a_curl_for_each_route() -> None:
    for path in (
        "/fetal-health/classify",
        "/wine-quality/score",
        "/stock-forecast/forecast",
        "/models",
        "/models/",
        "/v2/",
    ):
        assert any(f"localhost:3000{path}" in command for command in CURLS), path
    assert len(CURLS) == 10


@pytest.mark.parametrize("command", CURLS, ids=lambda command: command.split()[2])
def test_a_curl_works_as_it_stands(colocated: Server, command: str) -> None:
    here = command.replace("http://localhost:3000", colocated.url)
    done = subprocess.run(
        ["bash", "-c", f"{here} --fail-with-body"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    if "-d '" in command:
        answer = json.loads(done.stdout)
        assert answer["model_name"] if TENSORS in command else answer[0]["model"]


def test_examples_show_the_fields_that_answers_have(colocated: Server) -> None:
    shown = [json.loads(block) for block in re.findall(r"```json\n(\[.*?)```", README, re.DOTALL)]
    posts = [command for command in CURLS if "-d '" in command and TENSORS not in command]

    assert len(shown) == len(posts) == 3
    for example, command in zip(shown, posts, strict=True):
        route, body = re.findall(r"localhost:3000(\S+)", command)[0], command.partition("-d '")[2].rstrip("'")
        answer = httpx.post(f"{colocated.url}{route}", content=body, headers={"content-type": "application/json"})
        assert set(example[0]) == set(answer.json()[0])


def test_the_tensors_that_are_shown_are_like_those_that_come(colocated: Server) -> None:
    (shown,) = [json.loads(block) for block in re.findall(r"```json\n(\{\"model_name.*?)```", README, re.DOTALL)]
    (command,) = [command for command in CURLS if TENSORS in command]

    answer = httpx.post(f"{colocated.url}{TENSORS}", content=command.partition("-d '")[2].rstrip("'")).json()

    for either in (shown, answer):
        assert len(either["outputs"][0].pop("data")) == 1
        assert either.pop("model_version")
    assert shown == answer


def test_the_python_that_is_shown_works(colocated: Server) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    here = code.replace("localhost:3000", colocated.url.removeprefix("http://"))

    done = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    quality, low, high = (float(number) for number in re.findall(r"\[\[(\S+)\]\]", done.stdout))
    assert low < quality < high


def test_the_error_that_is_shown_is_the_one_that_comes(colocated: Server) -> None:
    (shown,) = [json.loads(block) for block in re.findall(r"```json\n(\{\"error.*?)```", README, re.DOTALL)]
    command = next(command for command in CURLS if "/wine-quality/score" in command)
    body = command.partition("-d '")[2].rstrip("'").replace('"alcohol": 9.4', '"alcohol": "9.4"')

    answer = httpx.post(
        f"{colocated.url}/wine-quality/score", content=body, headers={"content-type": "application/json"}
    )

    assert answer.status_code == 400
    assert answer.json() == shown


def test_the_curl_that_make_serve_prints_works(colocated: Server) -> None:
    host, port = urlsplit(colocated.url).netloc.split(":")
    (command,) = [line for line in serve.welcome(host, int(port)).splitlines() if line.startswith("curl ")]

    done = subprocess.run(["bash", "-c", f"{command} --fail"], capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["model"]


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
