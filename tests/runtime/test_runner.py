"""A runner records and counts only what it tells."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from marmita.contract.errors import RequestError
from marmita.contract.rows import Floats
from marmita.runtime.runner import Runner, model_name


class Recorder:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def record(self, *given: Any) -> tuple[str, int]:
        self.kept.append(given)
        return "id", 0


class Doubling(Runner):
    """Doubles its rows, which the third of them does not survive."""

    def __init__(self, recorder: Recorder | None) -> None:
        self._current: Any = SimpleNamespace(
            load=lambda: SimpleNamespace(name="doubling", version="v1", run=self._double)
        )
        self._recorder: Any = recorder

    async def _double(self, rows: Floats) -> Floats:
        return rows * 2

    def outcomes(self, _rows: Floats, _outputs: Floats) -> Iterable[str]:
        return []


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("records", [True, False])
async def test_a_row_without_an_answer_is_named_and_nothing_is_recorded(worst: float, records: bool) -> None:
    recorder = Recorder()
    rows = np.ones((4, 3), np.float32)
    rows[2, 1] = worst

    with pytest.raises(RequestError, match="no answer to row 2") as raised:
        await Doubling(recorder if records else None).run(rows)

    assert raised.value.status == 400
    assert recorder.kept == []


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
