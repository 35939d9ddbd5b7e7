"""The client of the load generator, which runs in its own process."""

import base64
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType
from typing import Any, Self

from benchmarks.places import ROOT
from benchmarks.results import ContenderError

PATIENCE_S = 60.0
SAMPLE_S = 0.5


class Generator:
    """The load generator's process, which lives as long as the run."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def closed(self, port: int, requests: Sequence[bytes], clients: int, seconds: float) -> dict[str, Any]:
        """Run a closed loop: each client sends its next request when it has its answer."""
        return self._run({"kind": "closed", "clients": clients, "seconds": seconds}, port, requests, seconds)

    def flood(
        self,
        port: int,
        requests: Sequence[bytes],
        *,
        rate: float,
        connections: int,
        seconds: float,
        probe_seconds: float,
        meanwhile: Callable[[], None],
    ) -> dict[str, Any]:
        """Run an open loop: send requests at a fixed rate, independent of the answers. Call `meanwhile` repeatedly."""
        plan = {
            "kind": "flood",
            "rate": rate,
            "connections": connections,
            "seconds": seconds,
            "probe_seconds": probe_seconds,
        }
        return self._run(plan, port, requests, seconds + probe_seconds, meanwhile)

    def _run(
        self,
        plan: dict[str, Any],
        port: int,
        requests: Sequence[bytes],
        seconds: float,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        encoded = [base64.b64encode(request).decode() for request in requests]
        line = json.dumps(plan | {"host": "127.0.0.1", "port": port, "requests": encoded})
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        deadline = monotonic() + seconds + PATIENCE_S
        while monotonic() < deadline:
            meanwhile()
            try:
                came: dict[str, Any] = json.loads(self._lines.get(timeout=SAMPLE_S))
            except queue.Empty:
                if self._process.poll() is not None:
                    break
                continue
            if "error" in came:
                raise ContenderError(came["error"])
            return came
        self._stop()
        self._start()
        raise ContenderError("the load generator ended or exceeded its time limit")

    @staticmethod
    def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
