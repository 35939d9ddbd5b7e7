"""Whatever is sent in place of a request is answered or rejected, and raises nothing else."""

import json
import random
import string
from contextlib import suppress
from typing import Any

import pytest

from marmita.contract.errors import RequestError
from marmita.oip.codec import read
from tests.oip.tensors import BINARY, SIGNATURE, VALUES, answered

pytestmark = pytest.mark.filterwarnings("error")

STRANGE: list[Any] = [None, True, False, 0, 1, -1, 3, 12, 2**31, 2**63, 10**30, 1.5, 1e308, "", "x", "ä\x00", [], {}]
KEYS = ["inputs", "outputs", "parameters", "id", "name", "shape", "datatype", "data", "binary_data", "binary_data_size"]
KEYS += ["binary_data_output", "features", "ends", "FP32"]


def anything(chance: random.Random, depth: int = 4) -> Any:
    """Any JSON value, made of words that mean something here more often than not."""
    kind = chance.randrange(8)
    if depth and kind == 0:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    if depth and kind == 1:
        return {chance.choice(KEYS): anything(chance, depth - 1) for _ in range(chance.randrange(5))}
    if kind == 2:
        return chance.choice(KEYS)
    if kind == 3:
        return "".join(chance.choices(string.printable, k=chance.randrange(9)))
    if kind == 4:
        return chance.choice([chance.gauss(0, 1e6), chance.randrange(-(2**70), 2**70)])
    return chance.choice(STRANGE)


def spoilt(value: Any, chance: random.Random) -> Any:
    """A value, somewhere in which something may have been replaced, left out or added."""
    if chance.random() < 0.03:
        return anything(chance, 2)
    if isinstance(value, list):
        more = [anything(chance, 2)] if chance.random() < 0.03 else []
        return [spoilt(part, chance) for part in value if chance.random() > 0.02] + more
    if isinstance(value, dict):
        other = {chance.choice(KEYS): anything(chance, 2)} if chance.random() < 0.1 else {}
        return {name: spoilt(part, chance) for name, part in value.items() if chance.random() > 0.02} | other
    return value


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_sent_is_answered_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    whole = {"id": "7", "parameters": {"binary_data_output": True}, "outputs": [{"name": "ends"} | BINARY]}
    tensor: dict[str, Any] = {"name": "features", "shape": [1, 3], "datatype": "FP32"}
    good = [
        {**whole, "inputs": [{**tensor, "data": VALUES}]},
        {**whole, "inputs": [{**tensor, "parameters": {"binary_data_size": 12}}]},
        {"inputs": [{**tensor, "shape": [2, 3], "data": [VALUES, VALUES]}]},
    ]
    answers = 0
    for turn in range(2_000):
        value = anything(chance) if turn % 4 == 0 else spoilt(chance.choice(good), chance)
        head = json.dumps(value).encode()
        behind = chance.choice([b"", bytes(12), chance.randbytes(chance.randrange(30))])
        body, size = chance.choice([(head, None), (head + behind, len(head))])
        if chance.random() < 0.05:
            body = body[: chance.randrange(len(body) + 1)]
            size = None if size is None else min(size, len(body))
        with suppress(RequestError):
            asked = read(body, size, SIGNATURE)
            answered(asked, asked.rows)
            answers += 1

    assert 100 < answers < 1900
