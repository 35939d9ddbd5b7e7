"""How the service ends, and how it goes on when one of its workers does: under load, every request accounted for."""

import asyncio
import json
import os
import signal
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.crowd import LOST, REFUSED, crowd
from tests.e2e.server import Server, metric_samples, readiness, serve, until
from tests.samples import INFER, SCORE, wine_tensors, wines

pytestmark = pytest.mark.timeout(180)


async def gone(server: Server) -> int:
    """The status with which the server has ended."""
    await until(lambda: server.process.poll() is not None)
    return int(server.process.returncode)


async def answers(counts: Counter[int | str], more: int) -> None:
    """Wait until so many more requests were answered."""
    enough = counts[200] + more
    await until(lambda: counts[200] >= enough)


async def replaced(server: Server, worker: psutil.Process) -> None:
    """Wait until there is another one in its place."""
    await until(lambda: len(now := server.workers("Marmita")) == 2 and worker not in now)


@pytest.mark.parametrize("rows", [1, 1_000])
@pytest.mark.parametrize("topology", ["colocated", "split"])
async def test_told_to_end_under_load_it_answers_all_that_it_took(own_home: Path, topology: str, rows: int) -> None:
    with serve(own_home, MARMITA_TOPOLOGY=topology) as server:
        async with (
            crowd(server.url, SCORE, wines(rows)) as typed,
            crowd(server.url, INFER, wine_tensors(rows)) as tensors,
        ):
            await answers(typed, more=25)
            await answers(tensors, more=25)
            server.process.terminate()
            status = await gone(server)

    assert status == 0
    for counts in (typed, tensors):
        assert set(counts) == {200, REFUSED}
        assert counts[REFUSED] == 16


async def test_a_runner_ends_after_a_front_that_had_not_asked_it_yet(own_home: Path) -> None:
    with serve(own_home, MARMITA_TOPOLOGY="split") as server:
        late, _ = server.workers("Marmita")
        late.suspend()
        server.process.terminate()
        await asyncio.sleep(4)  # by now the other front has gone
        async with httpx.AsyncClient() as client:
            asking = asyncio.create_task(client.post(f"{server.url}{SCORE}", json=wines(1), timeout=30))
            await asyncio.sleep(0.2)
            late.resume()
            assert (await asking).status_code == 200
        assert await gone(server) == 0


async def test_told_to_end_it_says_so_and_waits_for_whoever_is_still_sending(own_home: Path) -> None:
    request = json.dumps(wines(1)).encode()
    half = len(request) // 2

    with serve(own_home) as server:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {SCORE} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(request)}\r\n\r\n"
        writer.write(head.encode() + request[:half])
        await writer.drain()
        await asyncio.sleep(0.2)
        server.process.terminate()

        await until(lambda: readiness(server) == 503, within_s=1)
        await asyncio.sleep(3)  # by now nobody is let in any more
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(request[half:])
        answer = await reader.read()

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert await gone(server) == 0
        writer.close()


async def test_when_one_worker_is_told_to_end_the_other_goes_on_and_it_is_replaced(own_home: Path) -> None:
    with serve(own_home) as server:
        one = server.workers("Marmita")[0]
        async with crowd(server.url, SCORE, wines(1)) as counts:
            await answers(counts, more=50)
            one.terminate()
            await replaced(server, one)
            await answers(counts, more=200)

        assert set(counts) == {200}


async def test_the_only_worker_is_replaced_and_the_port_opens_again(own_home: Path) -> None:
    overrides = json.dumps({"services": {"Marmita": {"workers": 1}}})
    with serve(own_home, BENTOML_CONFIG_OVERRIDES=overrides) as server:
        server.workers("Marmita")[0].terminate()
        await asyncio.sleep(2)
        await until(lambda: readiness(server) == 200)
        assert httpx.post(f"{server.url}{SCORE}", json=wines(1)).status_code == 200


async def test_what_a_killed_worker_had_in_progress_is_forgotten(own_home: Path) -> None:
    with serve(own_home) as server:
        one = server.workers("Marmita")[0]
        async with crowd(server.url, SCORE, wines(1), clients=32) as counts:
            await answers(counts, more=50)
            os.kill(one.pid, signal.SIGKILL)
            await replaced(server, one)
            await answers(counts, more=50)
        assert counts[LOST] <= 32  # what the killed one held

        await until(lambda: in_progress(server) == 0)


def in_progress(server: Server) -> float:
    return sum(metric_samples(server, "bentoml_service_request_in_progress{").values())
