"""What `make serve` prints works."""

import json
import re

import httpx

from tests.e2e.server import ROOT, Server


def test_the_curl_that_make_serve_prints_works(colocated: Server) -> None:
    (body,) = re.findall(r"^WINE = (.*?\}\]\})$", (ROOT / "Makefile").read_text(), re.DOTALL | re.MULTILINE)

    answer = httpx.post(f"{colocated.url}/wine-quality/score", json=json.loads(body.replace("\\\n", "")))

    assert answer.status_code == 200
