"""A runner records and counts only what it tells."""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from marmita.contract.errors import ErrorCode, RequestError
from marmita.contract.rows import Floats
from marmita.registry.onnx_model import OnnxModel
from marmita.runtime import runner
from marmita.runtime.loaded_model import LoadedModel
from marmita.runtime.runner import Runner, model_name
from tests.messages import mentions


class Recorder:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def record(self, *given: Any) -> tuple[str, int]:
        self.kept.append(given)
        return "id", 0


class Metrics:
    """Keeps what is counted."""

    def __init__(self) -> None:
        self.counted: list[Any] = []

    def answered(self, *given: Any) -> None:
        self.counted.append(given)


class DoublingModel(LoadedModel):
    """A loaded model without a packed one."""

    def __init__(self, metrics: Any, recorder: Any, model: Any) -> None:
        self.name, self.version = "doubling", "v1"
        self.metrics, self._recorder, self.model = metrics, recorder, model
        self.run: Any = self._double

    async def _double(self, rows: Floats) -> Floats:
        return rows * 2

    def unusual(self, rows: Floats) -> list[list[str]]:
        return [[] for _ in rows]


class Doubling(Runner):
    """Doubles its rows, which the third of them does not survive."""

    def __init__(self, recorder: Recorder | None, model: Any = None) -> None:
        self.metrics = Metrics()
        served = DoublingModel(self.metrics, recorder, model)
        self._slot: Any = SimpleNamespace(load=lambda: served)

    def outcomes(self, _rows: Floats, _outputs: Floats) -> Iterable[str]:
        return []


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("records", [True, False])
@pytest.mark.parametrize("ask", ["run", "predict"])
async def test_a_row_without_an_answer_is_named_and_nothing_is_recorded_or_counted(
    worst: float, records: bool, ask: str
) -> None:
    recorder = Recorder()
    rows = np.ones((4, 3), np.float32)
    rows[2, 1] = worst
    doubling = Doubling(recorder if records else None)

    with pytest.raises(RequestError) as raised:
        await getattr(doubling, ask)(rows)

    assert raised.value.code == ErrorCode.INVALID_REQUEST
    assert mentions(raised.value.error, 2)
    assert recorder.kept == []
    assert doubling.metrics.counted == []


async def test_bare_outputs_are_counted() -> None:
    doubling = Doubling(None)

    await doubling.predict(np.ones((4, 3), np.float32))

    assert [rows for rows, *_ in doubling.metrics.counted] == [4]


async def test_a_model_is_ready_while_large_batches_hold_all_threads(slow: Callable[[float], OnnxModel]) -> None:
    """Those that the loop lends out for work: one more batch waits until one of these is done."""
    model, ended = slow(0.0), Event()
    doubling = Doubling(None, model)
    doubling.sample = np.ones((1, model.width), np.float32)  # type: ignore[misc]
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as lent_out:
        loop.set_default_executor(lent_out)
        try:
            batches = [asyncio.create_task(asyncio.to_thread(ended.wait, 60)) for _ in range(4)]
            await asyncio.sleep(0)
            begun = time.monotonic()
            assert await doubling.__is_ready__()
            assert time.monotonic() - begun < 1
            assert not any(batch.done() for batch in batches)
        finally:
            ended.set()
            await asyncio.gather(*batches)


async def test_a_model_that_does_not_answer_in_time_is_not_ready(
    slow: Callable[[float], OnnxModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.1)
    model = slow(1.0)
    doubling = Doubling(None, model)
    doubling.sample = np.ones((1, model.width), np.float32)  # type: ignore[misc]

    begun = time.monotonic()
    assert await asyncio.gather(*(doubling.__is_ready__() for _ in range(20))) == [False] * 20
    assert time.monotonic() - begun < 0.8

    monkeypatch.setattr(runner, "PATIENCE_S", 60)
    assert await doubling.__is_ready__()  # those that were given up wait for no turn
    assert time.monotonic() - begun < 10


async def test_an_answer_says_where_it_is_recorded() -> None:
    recorder = Recorder()

    predicted = await Doubling(recorder).run(np.ones((2, 3), np.float32))

    assert predicted.identify([{}, {}]) == [{"id": "id-0"}, {"id": "id-1"}]
    assert len(recorder.kept) == 1


def test_a_model_goes_by_its_services_name() -> None:
    assert [model_name(type(name, (), {})) for name in ("Iris", "WineQuality", "Top10Cars")] == [
        "iris",
        "wine_quality",
        "top10_cars",
    ]
