"""The load generator: a process that reads plans as lines of JSON and writes the results.

The generator must not be the bottleneck. So the requests are built beforehand, and only the status and the length of
an answer are parsed. `busy` in the results is the share of a core that the generator used.
"""

import asyncio
import base64
import gc
import json
import sys
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import cycle
from time import perf_counter, process_time
from typing import Any, cast

import uvloop

PATIENCE_S = 30.0
"""How long to wait for missing answers at the end of a plan."""
TICK_S = 0.001
WINDOW_S = 0.1
BROKEN = 0
"""The status of a request whose connection broke."""


class Connection(asyncio.Protocol):
    """A persistent HTTP/1.1 connection with one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._asked_at: float | None = None
        self._head = b""
        self._missing = 0
        self._chunked = False
        self._status = BROKEN
        self._closing = False
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, asked_at: float) -> None:
        assert self._transport is not None
        self._asked_at = asked_at
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
            if not self._missing:
                self._answered()
        elif self._chunked:
            self._rest_of_chunks(data)
        else:
            self._begin(self._head + data)

    def _begin(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return
        self._head = b""
        self._status = int(data[9:12])
        head = data[: end + 2].lower()
        self._closing = b"\r\nconnection: close\r\n" in head
        length = head.find(b"\r\ncontent-length:")
        if length < 0:
            self._chunked = True
            self._rest_of_chunks(data[end + 4 :])
            return
        start = length + len(b"\r\ncontent-length:")
        self._missing = int(head[start : head.index(b"\r\n", start)]) - (len(data) - end - 4)
        if not self._missing:
            self._answered()

    def _rest_of_chunks(self, data: bytes) -> None:
        self._head = (self._head + data)[-5:]
        if self._head == b"0\r\n\r\n":
            self._head = b""
            self._chunked = False
            self._answered()

    def _answered(self) -> None:
        now = perf_counter()
        assert self._asked_at is not None
        asked_at, self._asked_at = self._asked_at, None
        self._load.note(self._status, asked_at, now)
        if self._closing:
            self.close()
            self._load.lost(self)
        else:
            self._load.free(self, now)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._gone:
            return
        self._gone = True
        if self._asked_at is not None:
            self._load.note(BROKEN, self._asked_at, perf_counter())
        self._load.lost(self)

    def close(self) -> None:
        self._gone = True
        if self._transport is not None:
            self._transport.close()


class Load:
    """Requests over connections, with the results."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes]) -> None:
        self._host = host
        self._port = port
        self._requests: Iterator[bytes] = cycle(requests)
        self._connections: list[Connection] = []
        self.asked = 0
        self.dropped = 0
        self.answers: dict[int, list[float]] = defaultdict(list)
        self.answered_at: list[tuple[float, float, int]] = []
        self.last = 0.0

    async def connect(self, count: int = 1) -> list[Connection]:
        loop = asyncio.get_running_loop()
        opening = (loop.create_connection(lambda: Connection(self), self._host, self._port) for _ in range(count))
        made = [connection for _, connection in await asyncio.gather(*opening)]
        self._connections += made
        return made

    def note(self, status: int, asked_at: float, now: float) -> None:
        self.answers[status].append(now - asked_at)
        self.last = now

    def free(self, connection: Connection, now: float) -> None:
        """Use a connection whose answer is complete for the next request."""
        raise NotImplementedError

    def lost(self, connection: Connection) -> None:
        """Handle a closed connection, whose request is lost if it had one."""
        raise NotImplementedError

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    @property
    def unanswered(self) -> int:
        return self.asked - sum(len(latencies) for latencies in self.answers.values())

    async def settle(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until all requests are answered, but at most for `patience_s`."""
        until = perf_counter() + patience_s
        while self.unanswered > self.dropped and perf_counter() < until:  # noqa: ASYNC110  an event costs time per answer
            await asyncio.sleep(TICK_S)


class ClosedLoop(Load):
    """A closed loop: each client sends its next request when it has its answer."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes], timeline: bool = False) -> None:
        super().__init__(host, port, requests)
        self._timeline = timeline
        self._until = 0.0
        self._replacing: set[asyncio.Task[None]] = set()

    async def run(self, clients: int, seconds: float) -> None:
        connections = await self.connect(clients)
        self._until = perf_counter() + seconds
        for connection in connections:
            self._ask(connection, perf_counter())
        await asyncio.sleep(seconds)
        await self.settle()

    def note(self, status: int, asked_at: float, now: float) -> None:
        super().note(status, asked_at, now)
        if self._timeline:
            self.answered_at.append((now, now - asked_at, status))

    def free(self, connection: Connection, now: float) -> None:
        if now < self._until:
            self._ask(connection, now)

    def lost(self, connection: Connection) -> None:  # noqa: ARG002
        if perf_counter() < self._until:
            task = asyncio.ensure_future(self._replace())
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)

    async def _replace(self) -> None:
        try:
            (connection,) = await self.connect()
        except OSError:
            return
        self._ask(connection, perf_counter())

    def _ask(self, connection: Connection, now: float) -> None:
        self.asked += 1
        connection.ask(next(self._requests), now)


class OpenLoop(Load):
    """An open loop: requests at a fixed rate, independent of the answers.

    The latency of a request counts from when it was due, including its wait for a connection.
    """

    def __init__(self, host: str, port: int, requests: Sequence[bytes], most_connections: int) -> None:
        super().__init__(host, port, requests)
        self._most_connections = most_connections
        self._idle: list[Connection] = []
        self._queue: deque[float] = deque()
        self._alive = 0
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, seconds: float) -> None:
        self._idle = await self.connect(self._most_connections)
        self._alive = len(self._idle)
        start = perf_counter()
        total = int(rate * seconds)
        while self.asked < total:
            due = min(total, int((perf_counter() - start) * rate) + 1)
            for number in range(self.asked, due):
                self.asked += 1
                self._queue.append(start + number / rate)
            self._send()
            await asyncio.sleep(TICK_S)
        # Drop the queued requests: the measurement that follows must see a service without overload.
        self.dropped = len(self._queue)
        self._queue.clear()

    def free(self, connection: Connection, now: float) -> None:  # noqa: ARG002
        self._idle.append(connection)
        self._send()

    def lost(self, connection: Connection) -> None:
        self._alive -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._send()

    def _send(self) -> None:
        while self._queue and self._idle:
            self._idle.pop().ask(next(self._requests), self._queue.popleft())
        while self._queue and self._alive < self._most_connections:
            self._alive += 1
            task = asyncio.ensure_future(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        try:
            (connection,) = await self.connect()
        except OSError:
            self._alive -= 1
            return
        self._idle.append(connection)
        self._send()


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def figures(load: Load, start: float, cpu: float) -> dict[str, Any]:
    """Return the results of a load: the number of answers and their latencies by status."""
    answers = {}
    for status, latencies in sorted(load.answers.items()):
        ordered = sorted(latencies)
        answers[status] = {
            "count": len(ordered),
            "p50": percentile(ordered, 0.5),
            "p99": percentile(ordered, 0.99),
            "max": ordered[-1],
        }
    seconds = max(load.last - start, 1e-9)
    return {
        "seconds": seconds,
        "answers": answers,
        "unanswered": load.unanswered,
        "busy": (process_time() - cpu) / seconds,
    }


def timeline(load: ClosedLoop, start: float) -> list[dict[str, float]]:
    """Return the latency and the worst status in each window of `WINDOW_S`, in order."""
    windows: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for at, latency, status in load.answered_at:
        windows[int((at - start) / WINDOW_S)].append((latency, status))
    return [
        {
            "from": number * WINDOW_S,
            "p50": percentile(sorted(latency for latency, _ in answers), 0.5),
            "worst_status": max(status if status != BROKEN else 999 for _, status in answers),
        }
        for number, answers in sorted(windows.items())
    ]


async def closed(plan: dict[str, Any], requests: Sequence[bytes]) -> dict[str, Any]:
    load = ClosedLoop(plan["host"], plan["port"], requests)
    start, cpu = perf_counter(), process_time()
    try:
        await load.run(plan["clients"], plan["seconds"])
        return figures(load, start, cpu)
    finally:
        load.close()


async def flood(plan: dict[str, Any], requests: Sequence[bytes]) -> dict[str, Any]:
    """Send requests at a fixed rate. When they end, measure the recovery with one client."""
    load = OpenLoop(plan["host"], plan["port"], requests, plan["connections"])
    probe = ClosedLoop(plan["host"], plan["port"], requests, timeline=True)
    start, cpu = perf_counter(), process_time()
    try:
        await load.run(plan["rate"], plan["seconds"])
        over = perf_counter()
        await asyncio.gather(probe.run(1, plan["probe_seconds"]), load.settle(plan["probe_seconds"]))
        return figures(load, start, cpu) | {"after": timeline(probe, over)}
    finally:
        load.close()
        probe.close()


def main() -> None:
    gc.freeze()
    gc.disable()
    kinds = {"closed": closed, "flood": flood}
    for line in sys.stdin:
        plan = json.loads(line)
        requests = [base64.b64decode(request) for request in plan["requests"]]
        try:
            came = uvloop.run(kinds[plan["kind"]](plan, requests))
        except OSError as error:
            came = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(came), flush=True)


if __name__ == "__main__":
    main()
