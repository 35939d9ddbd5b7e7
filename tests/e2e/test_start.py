"""Starting: alone, without a model, and without what only training needs."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import httpx
import pytest

from marmita.registry.packed_model import PackedModel
from tests.e2e.server import BENTOML, ROOT, environment, free_port, serve
from tests.messages import mentions
from tests.samples import CLASSIFY, FORECAST, REQUESTS, SCORE

ALONE = {
    "bentos.fetal_health:FetalHealth": CLASSIFY,
    "bentos.wine_quality:WineQuality": SCORE,
    "bentos.stock_forecast:StockForecast": FORECAST,
}


@pytest.mark.parametrize("target", ALONE)
def test_each_model_is_served_alone(own_home: Path, target: str) -> None:
    route = ALONE[target]
    with serve(own_home, target) as server:
        assert httpx.post(f"{server.url}{route}", json=REQUESTS[route](2)).status_code == 200
        assert len(httpx.get(f"{server.url}/models").json()["models"]) == 1
        others = [other for other in REQUESTS if other != route]
        assert [httpx.post(f"{server.url}{other}", json={}).status_code for other in others] == [404, 404]


def run(home: Path, port: int | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [BENTOML, "serve", "--host", "127.0.0.1", "--port", str(port or free_port())],
        cwd=ROOT,
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("topology", ["colocated", "split"])
def test_without_a_model_it_says_what_makes_one_and_ends(tmp_path: Path, topology: str) -> None:
    done = run(tmp_path / "empty", MARMITA_TOPOLOGY=topology)

    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert mentions(said, "python -m training.fetal_health")
    assert "Traceback" not in said


@pytest.mark.parametrize("topology", ["colocated", "split"])
def test_with_one_model_missing_it_names_that_one_and_ends(
    champions: dict[str, PackedModel], tmp_path: Path, topology: str
) -> None:
    (tmp_path / "models").mkdir()
    for name in champions.keys() - {"wine_quality"}:
        (tmp_path / "models" / name).symlink_to(champions[name].path.parent)

    done = run(tmp_path, MARMITA_TOPOLOGY=topology)

    assert done.returncode != 0
    assert mentions(done.stdout + done.stderr, "python -m training.wine_quality")
    assert "training.fetal_health" not in done.stdout + done.stderr


def test_with_a_damaged_model_it_says_so_and_ends(champions: dict[str, PackedModel], tmp_path: Path) -> None:
    for name, packed in champions.items():
        folder = tmp_path / "models" / name
        copy = folder / packed.version
        copy.mkdir(parents=True)
        for file in packed.path.iterdir():
            (copy / file.name).write_bytes(file.read_bytes())
        (folder / "champion").write_text(packed.version)
    damaged = tmp_path / "models" / "stock_forecast" / champions["stock_forecast"].version / "compiled.onnx"
    damaged.write_bytes(b"\x80\x04" + damaged.read_bytes())

    done = run(tmp_path)

    assert done.returncode != 0
    assert mentions(done.stdout + done.stderr, f"{champions['stock_forecast'].tag} is damaged", "compiled.onnx")


@pytest.mark.parametrize("topology", ["colocated", "split"])
def test_at_a_taken_port_it_ends_with_one_line_before_a_worker_starts(
    own_home: Path, taken_port: int, topology: str
) -> None:
    done = run(own_home, taken_port, MARMITA_TOPOLOGY=topology)

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert mentions(line, taken_port, "127.0.0.1", f"--port {taken_port + 1}")
    assert all(" [cli] " in line for line in done.stdout.splitlines()), "only BentoML's own process logs"


def test_with_a_wrong_setting_it_names_it_and_ends(own_home: Path) -> None:
    done = run(own_home, MARMITA_TOPOLOGY="scattered")

    assert done.returncode != 0
    assert "MARMITA_TOPOLOGY" in done.stdout + done.stderr


def test_with_a_wrong_batching_block_it_names_it_and_ends(own_home: Path) -> None:
    wrong = {"services": {"WineQuality": {"batching": {"max_batch_size": 1}}}}
    done = run(own_home, BENTOML_CONFIG_OVERRIDES=json.dumps(wrong))

    assert done.returncode != 0
    assert "services.WineQuality.batching" in done.stdout + done.stderr


def test_without_an_endpoint_tracing_looks_at_nothing(champions: dict[str, PackedModel]) -> None:
    from bentoml._internal.configuration.containers import BentoMLContainer

    import service

    marmita: Any = service.Marmita
    marmita.inject_config()

    tracing = BentoMLContainer.config.get()["tracing"]
    assert tracing["exporter_type"] is None
    assert tracing["excluded_urls"] == ".*"


@pytest.mark.parametrize(("is_bento", "address"), [(False, "127.0.0.1"), (True, "0.0.0.0")])
def test_a_checkout_listens_on_this_machine_alone_and_a_bento_everywhere(
    champions: dict[str, PackedModel], monkeypatch: pytest.MonkeyPatch, is_bento: bool, address: str
) -> None:
    from bentoml._internal.configuration.containers import BentoMLContainer

    import service

    monkeypatch.setattr("marmita.service.inside_bento", lambda: is_bento)
    marmita: Any = service.Marmita
    marmita.inject_config()

    assert BentoMLContainer.http.host.get() == address


def test_an_address_in_the_configuration_is_kept(
    champions: dict[str, PackedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bentoml._internal.configuration.containers import BentoMLContainer

    import service

    monkeypatch.setenv("BENTOML_CONFIG_OVERRIDES", json.dumps({"services": {"http": {"host": "192.0.2.1"}}}))
    marmita: Any = service.Marmita
    marmita.inject_config()

    assert BentoMLContainer.http.host.get() == "192.0.2.1"


def test_serving_unpickles_nothing_and_imports_nothing_of_training(champions: dict[str, PackedModel]) -> None:
    """A process that serves all three models, watched by Python's own audit hook for every object unpickled."""
    requests = {route: make(2) for route, make in REQUESTS.items()}
    script = """
        import json, sys
        unpickled = []
        sys.addaudithook(lambda event, args: unpickled.append(args) if event == "pickle.find_class" else None)
        import pickle
        pickle.loads(pickle.dumps(Exception))  # does the hook see?
        assert unpickled.pop()

        from starlette.testclient import TestClient
        import service
        with TestClient(service.Marmita.to_asgi()) as client:
            for route, request in json.loads(sys.stdin.read()).items():
                assert client.post(route, json=request).status_code == 200
        training = ("tensorflow", "keras", "sklearn", "skl2onnx", "tf2onnx", "onnx", "pandas", "joblib", "training")
        print(json.dumps([unpickled, [name for name in training if name in sys.modules]]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env=os.environ,
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[], []]
