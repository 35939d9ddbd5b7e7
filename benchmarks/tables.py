"""Table models beside models with code, and many of them in one service: `python -m benchmarks.tables`.

It runs in one process without a network, as `benchmarks.layers` does. The wine-quality champion is packed as a table
model too, so that the same graph is behind both routes.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil

from benchmarks.layers import CONCURRENCY, SCORE, ask, cost, with_service

MODELS = 100
"""The number of table models in one service."""
ROWS = 1_000
TRAINING_ROWS = 4_000
NUMBERS, WORDS = 18, 12
"""The number of columns of each kind in the table with categories."""
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    options = parser.parse_args()
    champions = Path(os.environ.get("BENTOML_HOME", Path.home() / "bentoml")) / "models"
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        store = Path(folder, "home", "models")
        store.mkdir(parents=True)
        for name in ("fetal_health", "stock_forecast", "wine_quality"):
            (store / name).symlink_to(champions / name)
        # BentoML and the framework read these when they are imported.
        os.environ |= {
            "BENTOML_HOME": str(store.parent),
            "PROMETHEUS_MULTIPROC_DIR": folder,
            "MARMITA_DATABASE_URL": f"sqlite:///{folder}/records.db",
        }
        with redirect_stdout(nowhere):
            found = asyncio.run(with_service(partial(_measure, options.seconds)))
    print("| figure | |\n| --- | ---: |")
    for figure, value in found:
        print(f"| {figure} | {value} |")


async def _measure(seconds: float, app: Any) -> list[tuple[str, str]]:
    figures = [one async for one in _one_row(seconds, app)]
    figures += [one async for one in _categories(seconds, app)]
    return [*figures, *[one async for one in _many_models(seconds, app)]]


async def _one_row(seconds: float, app: Any) -> AsyncIterator[tuple[str, str]]:
    """Yield the CPU time of one row of the same numbers, through a route with code and through a table's."""
    body, path = _pack_wine("wine_table")
    typed = json.dumps({"wines": json.loads(body)["rows"]}).encode()
    for about, concurrency in (("alone", 1), (f"one of {CONCURRENCY}", CONCURRENCY)):
        code = await cost(partial(ask, app, SCORE, typed), concurrency, seconds)
        table = await cost(partial(ask, app, path, body), concurrency, seconds)
        yield f"one row, {about}: µs with code", f"{code:.0f}"
        yield f"one row, {about}: µs as a table", f"{table:.0f}"
        yield f"one row, {about}: ratio", f"{table / code:.2f}"


async def _categories(seconds: float, app: Any) -> AsyncIterator[tuple[str, str]]:
    """Yield the CPU time of a thousand rows with categories, as a request and in the ONNX session alone."""
    from marmita.registry.tables import TableStore
    from marmita.runtime.table_model import TableModel

    rows = _pack_mixed("mixed_table")
    body, path = json.dumps({"rows": rows}).encode(), "/models/mixed_table/predict"
    packed = TableStore(()).champion("mixed_table")
    assert packed
    model = TableModel.load(packed)
    encoded = model.read(body)

    async def session() -> None:
        model.served.model(encoded)

    alone, request = await cost(session, 1, seconds), await cost(partial(ask, app, path, body), 1, seconds)
    yield f"{ROWS} rows with categories: ms in the session", f"{alone / 1e3:.2f}"
    yield f"{ROWS} rows with categories: ms as a request", f"{request / 1e3:.2f}"
    yield f"{ROWS} rows with categories: ratio", f"{request / alone:.2f}"


async def _many_models(seconds: float, app: Any) -> AsyncIterator[tuple[str, str]]:
    """Yield what a hundred table models cost those that ask for one of them, before and after all were asked."""
    body, path = _pack_wine("many_0")
    one = await cost(partial(ask, app, path, body), 1, seconds)
    memory = _memory_mb()
    others = [_pack_wine(f"many_{number}")[1] for number in range(1, MODELS)]
    packed = _memory_mb()
    many = await cost(partial(ask, app, path, body), 1, seconds)
    yield "one row: µs with 1 table model in the store", f"{one:.0f}"
    yield f"one row: µs with {MODELS}", f"{many:.0f}"
    yield f"memory: MB more with {MODELS} in the store", f"{packed - memory:.0f}"
    first = []
    for other in others:
        start = perf_counter()
        await ask(app, other, body)
        first.append(perf_counter() - start)
    yield "first request to a model: ms, median", f"{sorted(first)[len(first) // 2] * 1e3:.0f}"
    yield f"memory: MB more after {MODELS} were asked", f"{_memory_mb() - packed:.0f}"


def _pack_wine(name: str) -> tuple[bytes, str]:
    """Pack the wine-quality champion as a table model. Return a request and its path."""
    from bentoml.models import ModelContext

    from marmita.contract.columns import columns_of
    from marmita.contract.tables import example_of
    from marmita.registry import champions, packed_model

    wine = champions.champion("wine_quality")
    assert wine
    features = [one | {"example": (one["low"] + one["high"]) / 2} for one in wine.contract["features"]]
    contract = {"task": "regression", "target": "quality", "features": features}
    predictions = {"value": wine.reference["predictions"]["quality"]}
    packed = packed_model.save(
        name,
        native=lambda _: None,
        module="bentoml.sklearn",
        context=ModelContext(framework_name="scikit-learn", framework_versions={}),
        compiled=wine.verify(),
        contract=contract,
        card=wine.card,
        reference=wine.reference | {"predictions": predictions},
        labels={},
    )
    champions.promote(packed)
    return json.dumps({"rows": [example_of(columns_of(contract))]}).encode(), f"/models/{name}/predict"


def _pack_mixed(name: str) -> list[dict[str, Any]]:
    """Pack a model of a table with categories. Return rows for it."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    import marmita

    chance = np.random.default_rng(SEED)
    numbers = {f"number {n}": chance.normal(size=TRAINING_ROWS) for n in range(NUMBERS)}
    words = {f"word {n}": chance.choice([f"w{m}" for m in range(20)], TRAINING_ROWS) for n in range(WORDS)}
    table = pd.DataFrame(numbers | words)
    target = table["number 0"] ** 2 * (1 + (table["word 0"] == "w0"))  # which a linear baseline can't learn
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(words)), remainder="passthrough"
    )
    marmita.pack(make_pipeline(encoder, HistGradientBoostingRegressor(random_state=SEED)), table, target, name=name)
    return _records(table.head(ROWS))


def _records(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_dict("records")
    return rows


def _memory_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1024**2)


if __name__ == "__main__":
    main()
