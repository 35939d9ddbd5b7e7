"""The README keeps its promises: every `curl` works."""

import json
import re
import subprocess
import sys

import httpx
import pytest

from tests.e2e.server import ROOT, Server

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
    (body,) = re.findall(r"^WINE = (.*?\}\]\})$", (ROOT / "Makefile").read_text(), re.DOTALL | re.MULTILINE)

    answer = httpx.post(f"{colocated.url}/wine-quality/score", json=json.loads(body.replace("\\\n", "")))

    assert answer.status_code == 200
