"""Table models: loaded on first use, replaced by another champion, and dropped."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from marmita.contract.errors import ErrorCode, RequestError
from marmita.registry import champions
from marmita.registry.tables import TableStore
from marmita.runtime.table_models import TableModels
from tests.packed_tables import CLASSES, MIXED, NUMBERS, pack_table

CODE = ("wine_quality",)
WITHIN_S = 2.0
"""How soon a promotion reaches every worker."""


@pytest_asyncio.fixture
async def models(empty_store: Path) -> AsyncIterator[TableModels]:
    found = TableModels(TableStore(CODE), most=2)
    found.begin()
    yield found
    found.end()


async def value(models: TableModels, name: str, version: str = "") -> float:
    model = await models.get(name, version)
    (answer,) = await model.answer(np.ones((1, len(model.columns)), np.float32))
    found: float = answer["value"]
    return found


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not holds():  # noqa: ASYNC110  the watcher is a thread without events
            await asyncio.sleep(0.02)


async def test_a_model_is_served_as_soon_as_it_has_a_champion(models: TableModels) -> None:
    with pytest.raises(RequestError) as error:
        await models.get("price")
    assert error.value.code == ErrorCode.MODEL_NOT_FOUND
    packed = pack_table("price", NUMBERS)
    assert (await models.get("price")).packed.tag == packed.tag


async def test_another_champion_replaces_the_loaded_one(models: TableModels) -> None:
    pack_table("price", NUMBERS)
    assert await value(models, "price") == 2
    before = await models.get("price")
    after = pack_table("price", NUMBERS, shift=10)
    await until(lambda: models._champions["price"] == after.tag)
    assert await value(models, "price") == 12
    assert len(models._loaded) == 1
    (answer,) = await before.answer(np.ones((1, 2), np.float32))  # of a request that began before
    assert answer["model"] == before.packed.tag


async def test_a_champion_may_have_other_columns(models: TableModels) -> None:
    pack_table("price", NUMBERS)
    await models.get("price")
    after = pack_table("price", MIXED, CLASSES)
    await until(lambda: models._champions["price"] == after.tag)
    assert len((await models.get("price")).columns) == len(MIXED)


async def test_a_removed_model_is_not_found(models: TableModels, empty_store: Path) -> None:
    pack_table("price", NUMBERS)
    await models.get("price")
    shutil.rmtree(empty_store / "price")
    await until(lambda: not models.is_loaded("price"))
    with pytest.raises(RequestError) as error:
        await models.get("price")
    assert error.value.code == ErrorCode.MODEL_NOT_FOUND


async def test_a_version_is_served_beside_the_champion(models: TableModels) -> None:
    first = pack_table("price", NUMBERS)
    pack_table("price", NUMBERS, shift=10)
    assert await value(models, "price") == 12
    assert await value(models, "price", first.version) == 2


async def test_the_least_recently_used_model_is_dropped(models: TableModels) -> None:
    for name in ("a", "b"):
        pack_table(name, NUMBERS)
        await models.get(name)
    pack_table("c", NUMBERS)
    await models.get("a")
    await models.get("c")
    assert [tag.partition(":")[0] for tag in models._loaded] == ["a", "c"]
    assert not models.is_loaded("b")
    assert await value(models, "b") == 2


async def test_concurrent_requests_share_one_load(models: TableModels) -> None:
    pack_table("price", NUMBERS)
    found = await asyncio.gather(*(models.get("price") for _ in range(10)))
    assert len({id(model) for model in found}) == 1


async def test_a_broken_champion_is_rejected_and_the_loaded_one_stays(models: TableModels) -> None:
    before = pack_table("price", NUMBERS)
    await models.get("price")
    broken = pack_table("price", NUMBERS, promote=False)
    (broken.path / "contract.json").write_text("[]")
    champions.promote(broken)
    await until(lambda: broken.tag in models._rejected)
    assert (await models.get("price")).packed.tag == before.tag


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"task": "regression", "features": 5}', '{"task": "regression", "features": [{}]}', "\0"]
)
async def test_a_contract_of_the_wrong_shape_is_unavailable(models: TableModels, content: str) -> None:
    packed = pack_table("price", NUMBERS)
    (packed.path / "contract.json").write_text(content)
    with pytest.raises(RequestError) as error:
        await models.get("price")
    assert error.value.code in (ErrorCode.MODEL_UNAVAILABLE, ErrorCode.MODEL_NOT_FOUND)


@pytest.mark.parametrize("name", ["wine_quality", "Price", "../price", "1price", "x" * 64, ""])
async def test_names_of_models_with_code_and_impossible_names_are_not_found(models: TableModels, name: str) -> None:
    with pytest.raises(RequestError) as error:
        await models.get(name)
    assert error.value.code == ErrorCode.MODEL_NOT_FOUND


async def test_a_model_that_is_no_table_is_not_found(models: TableModels) -> None:
    packed = pack_table("price", NUMBERS)
    (packed.path / "contract.json").write_text('{"features": []}')
    with pytest.raises(RequestError) as error:
        await models.get("price")
    assert error.value.code == ErrorCode.MODEL_NOT_FOUND
    assert models.store.names() == []
