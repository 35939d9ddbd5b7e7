"""The CPU time of a request by layer, and the cost of settings: `python -m benchmarks.layers`.

It runs in one process without a network, so that each layer can be called by itself. `make bench` includes the network
and uvicorn.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.places import ROOT

SCORE, INFER = "/wine-quality/score", "/v2/models/wine_quality/infer"
CONCURRENCY = 16
ROUNDS = 5
SETTINGS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "batching off": {"overrides": {"WineQuality": {"batching": {"enabled": False}}}},
    "metrics off": {"overrides": {"metrics": {"enabled": False}}},
    "all predictions kept": {"MARMITA_RECORD": "all"},
    "traces of all requests": {"MARMITA_OTLP_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
}
"""The changed settings, as an operator would set them."""

Ask = Callable[[], Awaitable[Any]]


class Layers:
    """The layers of the service in this process, each as a function that answers the same rows."""

    def __init__(self, app: Any, rows: int) -> None:
        # Importing the framework creates its metrics in the folder that the environment names at that time.
        import bentoml

        from bentos.wine_quality import HEADERS, Wine
        from marmita.contract.rows import features
        from marmita.runtime.endpoints import endpoints_of
        from marmita.training.rows import read_rows
        from training import DATA

        found = [dict(row) for row in read_rows(DATA / "winequality-red.csv", features(Wine), HEADERS, ";")[:rows]]
        service: Any = bentoml.get_current_service()
        self._runner: Any = service.wine_quality
        self._endpoint = endpoints_of(self._runner.__class__)[SCORE]
        self._json = json.dumps({"wines": found}).encode()
        self._array = self._endpoint.read(self._json)
        tensor = {"name": self._runner.served.signature.input, "shape": list(self._array.shape), "datatype": "FP32"}
        self._tensors = json.dumps({"inputs": [tensor | {"data": self._array.ravel().tolist()}]}).encode()
        self._front = app

    def tensors(self) -> dict[str, Ask]:
        """Return the layers of the tensor route, the model first."""
        return {
            "the model": self._model,
            "batches": partial(self._runner.served.run, self._array),
            "counting predictions": partial(self._runner.predict, self._array),
            "reading and writing tensors": self._handled(INFER, self._tensors),
            "the lane: metrics, deadline, span": self._answered(INFER, self._tensors),
            "the front: id, bounds, access log": partial(ask, self._front, INFER, self._tensors),
        }

    def json(self) -> dict[str, Ask]:
        """Return the layers of the JSON route, the model first."""
        return {
            "the model": self._model,
            "batches": partial(self._runner.served.run, self._array),
            "counting predictions, the answer's values": partial(self._runner.answer_rows, self._array),
            "reading rows": self._read,
            "writing the answer": self._handled(SCORE, self._json),
            "the lane: metrics, deadline, span": self._answered(SCORE, self._json),
            "the front: id, bounds, access log": partial(ask, self._front, SCORE, self._json),
        }

    async def _model(self) -> Any:
        return self._runner.served.model(self._array)

    async def _read(self) -> Any:
        return await self._endpoint.handle(self._runner, self._endpoint.read(self._json))

    def _handled(self, path: str, body: bytes) -> Ask:
        """Return a call of the handler at a path, without the lane."""
        from marmita.web.topology import LocalModel

        return partial(LocalModel(self._runner).ask, path, _call(path, body))

    def _answered(self, path: str, body: bytes) -> Ask:
        lane = self._front.lane
        return partial(lane.answer, lane.find(path), _call(path, body))


def _call(path: str, body: bytes) -> Any:
    from marmita.contract.replies import Call

    scope = _scope(path, body)
    return Call(scope, dict(scope["headers"]), body)


def _scope(path: str, body: bytes) -> dict[str, Any]:
    headers = [(b"host", b"here"), (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode()}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": "", "headers": headers}
    return scope | {
        "state": {},
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "asgi": {"version": "3.0"},
    }


async def ask(app: Any, path: str, body: bytes) -> None:
    """Send one request to an ASGI application."""
    scope = _scope(path, body)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


async def cost(asking: Ask, concurrency: int, seconds: float) -> float:
    """Return the CPU microseconds of one request: the best of some rounds, as interference only adds time."""
    rounds = []
    for _ in range(ROUNDS):
        start, count = process_time(), 0
        while process_time() - start < seconds / ROUNDS:
            await asyncio.gather(*(asking() for _ in range(concurrency)))
            count += concurrency
        rounds.append((process_time() - start) / count * 1e6)
    return min(rounds)


async def with_service(look: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run the service in this event loop during a call of `look`."""
    import service

    marmita: Any = service.Marmita
    app = marmita.to_asgi()
    events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    replies: asyncio.Queue[Any] = asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan", "state": {}}, events.get, replies.put))
    await events.put({"type": "lifespan.startup"})
    assert (await replies.get())["type"] == "lifespan.startup.complete"
    try:
        return await look(app)
    finally:
        await events.put({"type": "lifespan.shutdown"})
        await lifespan


async def layers(seconds: float, app: Any) -> list[tuple[str, str, float, float, float]]:
    """Return route, layer, and microseconds of one row alone, one of 16 concurrent rows, and a thousand rows."""
    one, many = Layers(app, 1), Layers(app, 1000)
    found = []
    for route, name in (("tensors", "tensors"), ("JSON", "json")):
        few, lots = getattr(one, name)(), getattr(many, name)()
        for layer in few:
            alone, among = await cost(few[layer], 1, seconds), await cost(few[layer], CONCURRENCY, seconds)
            found.append((route, layer, alone, among, await cost(lots[layer], 1, seconds)))
    return found


async def whole(seconds: float, app: Any) -> list[float]:
    """Return the microseconds of one of 16 concurrent rows on both routes, with the settings of this process."""
    one = Layers(app, 1)
    return [await cost(list(route.values())[-1], CONCURRENCY, seconds) for route in (one.json(), one.tensors())]


def with_settings(changed: dict[str, Any], seconds: float) -> list[float]:
    """Return the figures of `whole` from a process with other settings, as a process reads its settings once."""
    environment = os.environ | {name: value for name, value in changed.items() if name != "overrides"}
    environment["BENTOML_CONFIG_OVERRIDES"] = json.dumps({"services": changed.get("overrides", {})})
    command = [sys.executable, "-m", "benchmarks.layers", "--whole", "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    numbers: list[float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def table(found: Sequence[tuple[str, str, float, float, float]]) -> str:
    """Return a Markdown table of what each layer adds to those inside it."""
    lines = ["| route | layer | one row alone | one of 16 rows | 1,000 rows |", "| --- | --- | ---: | ---: | ---: |"]
    inside = (0.0, 0.0, 0.0)
    for before, now in pairwise([("", "", *inside), *found]):
        inside = before[2:] if before[0] == now[0] else (0.0, 0.0, 0.0)
        added = [f"{after - inner:+,.0f}" for after, inner in zip(now[2:], inside, strict=True)]
        lines.append(f"| {now[0]} | {now[1]} | {' | '.join(added)} |")
        if now == found[-1] or found[found.index(now) + 1][0] != now[0]:
            lines.append(f"| {now[0]} | **all** | {' | '.join(f'**{total:,.0f}**' for total in now[2:])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--whole", action="store_true", help="only the whole, with the settings of this process")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as metrics, Path(os.devnull).open("w") as nowhere:
        # Importing the service reads these. The benchmark's predictions must not enter the user's records.
        os.environ |= {"PROMETHEUS_MULTIPROC_DIR": metrics, "MARMITA_DATABASE_URL": f"sqlite:///{metrics}/records.db"}
        with redirect_stdout(nowhere):  # writing the access log counts, but its output is discarded
            found = asyncio.run(with_service(partial(whole if options.whole else layers, options.seconds)))
    if options.whole:
        print(json.dumps(found))
        return
    print("Microseconds of CPU that each layer adds:\n")
    print(table(found))
    print("\nOne of 16 rows, as a whole, with another setting:\n\n| setting | JSON | tensors |\n| --- | ---: | ---: |")
    for setting, changed in SETTINGS.items():
        print(f"| {setting} | {' | '.join(f'{us:,.0f}' for us in with_settings(changed, options.seconds))} |")


if __name__ == "__main__":
    main()
