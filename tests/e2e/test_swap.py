"""A newly promoted champion is taken up while clients ask, and one that is not fit is not."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from marmita.registry.champions import promote
from marmita.registry.packed_model import PackedModel
from tests import samples
from tests.e2e.crowd import crowd
from tests.e2e.server import ROOT, Server, environment, metric_samples, serve, until
from tests.messages import mentions
from tests.samples import SCORE, wines
from training import wine_quality

pytestmark = pytest.mark.timeout(180)

NAME = "wine_quality"
TOPOLOGIES = pytest.mark.parametrize("topology", ["colocated", "split"])


@pytest.fixture(scope="module")
def challenger(champions: dict[str, PackedModel]) -> PackedModel:
    """Another version, which is not the champion."""
    packed = wine_quality.TRAINING.train(**samples.WINE_QUALITY, seed=11)
    promote(champions[NAME])
    return packed


@pytest.fixture
def own_store(challenger: PackedModel, tmp_path: Path) -> Path:
    """A home with a store of its own, whose champions may change."""
    home = tmp_path / "home"
    shutil.copytree(challenger.path.parents[1], home / "models")
    return home


def marmita(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "marmita", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(home), capture_output=True, text=True, check=False)


def served(server: Server) -> set[str]:
    """The versions that a model's gauge says are served."""
    found = metric_samples(server, "marmita_model_served")
    return {
        labels.partition('version="')[2].rstrip('"}') for labels, value in found.items() if NAME in labels and value
    }


@TOPOLOGIES
async def test_a_promoted_version_is_served_within_seconds_and_no_request_fails(
    own_store: Path, champions: dict[str, PackedModel], challenger: PackedModel, topology: str
) -> None:
    champion, answered = champions[NAME].tag, list[tuple[float, str]]()

    def read(body: bytes) -> None:
        (score,) = json.loads(body)
        answered.append((time.monotonic(), score["model"]))

    with serve(own_store, MARMITA_TOPOLOGY=topology) as server:
        async with crowd(server.url, SCORE, wines(1), clients=16, read=read) as counts:
            await until(lambda: counts[200] > 200, within_s=30)
            done = await asyncio.to_thread(marmita, own_store, "promote", challenger.tag, "--force")
            promoted = time.monotonic()
            await until(lambda: served(server) == {challenger.version}, within_s=30)
            await asyncio.sleep(1)
            shown = await asyncio.to_thread(httpx.get, f"{server.url}/models")
            by_version = f"{server.url}/v2/models/{NAME}/versions"
            new = await asyncio.to_thread(httpx.get, f"{by_version}/{challenger.version}/ready")
            old = await asyncio.to_thread(httpx.get, f"{by_version}/{champions[NAME].version}/ready")
            swapped = len(answered)
            back = await asyncio.to_thread(marmita, own_store, "rollback", NAME)
            await until(lambda: served(server) == {champions[NAME].version}, within_s=30)
            await asyncio.sleep(0.5)

    assert done.returncode == back.returncode == 0, done.stderr + back.stderr
    assert set(counts) == {200}
    assert answered[0][1] == answered[-1][1] == champion
    last_of_the_old = max(at for at, tag in answered[:swapped] if tag == champion)
    assert last_of_the_old - promoted < 5
    assert {tag for _, tag in answered} == {champion, challenger.tag}
    assert challenger.tag in {model["tag"] for model in shown.json()["models"]}
    assert (new.status_code, old.status_code) == (200, 404)


def copied(packed: PackedModel, home: Path, number: int) -> str:
    """The version of a copy."""
    version = f"{packed.version[:-1]}{number}"
    folder = shutil.copytree(packed.path, home / "models" / NAME / version)
    info = folder / "model.yaml"
    info.write_text(info.read_text().replace(packed.version, version))
    return version


def cut_short(home: Path, version: str) -> None:
    model = home / "models" / NAME / version / "compiled.onnx"
    model.write_bytes(model.read_bytes()[:-100])


def of_another_contract(home: Path, version: str) -> None:
    path = home / "models" / NAME / version / "contract.json"
    contract: dict[str, Any] = json.loads(path.read_text())
    contract["features"].reverse()
    path.write_text(json.dumps(contract))


def gone(home: Path, version: str) -> None:
    shutil.rmtree(home / "models" / NAME / version)


@TOPOLOGIES
async def test_a_version_that_is_not_fit_is_refused_and_the_old_one_stays(
    own_store: Path, champions: dict[str, PackedModel], challenger: PackedModel, topology: str
) -> None:
    pointer = own_store / "models" / NAME / "champion"

    def is_refused() -> bool:
        return any(metric_samples(server, f'marmita_champion_rejected{{model="{NAME}"').values())

    with serve(own_store, MARMITA_TOPOLOGY=topology) as server:
        async with crowd(server.url, SCORE, wines(1), clients=4) as counts:
            for number, spoil in enumerate((cut_short, of_another_contract, gone)):
                version = copied(challenger, own_store, number)  # one that was refused is not looked at again so soon
                spoil(own_store, version)
                pointer.write_text(version)
                await until(is_refused, within_s=30)
                (answer,) = (await asyncio.to_thread(httpx.post, f"{server.url}{SCORE}", json=wines(1))).json()
                pointer.write_text(champions[NAME].version)
                await until(lambda: not is_refused(), within_s=30)

                assert answer["model"] == champions[NAME].tag
                assert f"champion {NAME}:{version} rejected" in server.log.read_text()

    assert set(counts) == {200}


def test_what_can_not_be_promoted_or_rolled_back_is_said(own_store: Path) -> None:
    unknown, nothing = marmita(own_store, "promote", f"{NAME}:nosuch"), marmita(own_store, "rollback", "fetal_health")

    assert unknown.returncode == nothing.returncode == 1
    assert unknown.stderr.startswith("error: ")
    assert nothing.stderr.startswith("error: ")
    assert mentions(unknown.stderr, f"{NAME}:nosuch")
    assert mentions(nothing.stderr, "earlier", "fetal_health")
