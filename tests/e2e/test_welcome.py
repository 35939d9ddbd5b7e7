"""What `make serve` prints works."""

import json
import subprocess
from urllib.parse import urlsplit

from marmita.cli import serve
from tests.e2e.server import Server


def test_the_request_that_make_serve_prints_is_answered(colocated: Server) -> None:
    host, port = urlsplit(colocated.url).netloc.split(":")
    (command,) = [line for line in serve.welcome(host, int(port)).splitlines() if line.startswith("curl ")]

    done = subprocess.run(["bash", "-c", f"{command} --fail"], capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["model"]
