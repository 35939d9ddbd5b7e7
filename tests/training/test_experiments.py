"""Training runs go to a real MLflow server, and a server that is away costs no model."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from marmita.records.database.database import Database
from marmita.records.operations import training_runs
from marmita.records.predictions.bundles import new_id
from marmita.registry import tracking
from marmita.registry.card import GateVerdict
from marmita.registry.packed_model import PackedModel
from marmita.settings import settings
from marmita.training import run
from marmita.training.run import train_and_record
from tests.e2e.server import free_port
from tests.training.mlflow_server import serving, silent
from training import fetal_health, wine_quality
from training.stock_forecast import prices, train
from training.stock_forecast.windows import Recipe

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
Use = Callable[[str], None]


@pytest.fixture(scope="module")
def mlflow_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Use]:
    """Names the server that runs are logged to, until the test ends."""
    for name, value in tracking.CLIENT_DEFAULTS.items():
        monkeypatch.setenv(name, value)
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    def name_it(uri: str) -> None:
        monkeypatch.setenv("MARMITA_MLFLOW_URI", uri)
        settings.cache_clear()

    yield name_it
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'records.db'}")
    monkeypatch.setattr(run, "database", lambda: database)
    return database


def judged(packed: PackedModel, *, promoted: bool) -> PackedModel:
    """The same model with another verdict."""
    found = replace(packed)
    found.__dict__["card"] = packed.card.model_copy(
        update={"verdict": GateVerdict(promoted=promoted, reason="as it was judged")}
    )
    return found


def client_of(mlflow_at: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=mlflow_at, registry_uri=mlflow_at)


def only_run(mlflow_at: str, id: str) -> Any:
    """The one that has our own records' id."""
    client = client_of(mlflow_at)
    experiments = [one.experiment_id for one in client.search_experiments()]
    (found,) = client.search_runs(experiments, f"tags.training_run = '{id}'")
    return found


def test_a_promoted_run_is_there_with_its_figures_its_picture_and_a_model_that_loads(
    mlflow_at: str, use: Use, champions: dict[str, PackedModel], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(mlflow_at.replace("http://", "http://me:s3cret@"))
    packed, id = judged(champions["fetal_health"], promoted=True), new_id()

    train_and_record("fetal_health", lambda: packed, id, fetal_health.TRAINING.pictures)

    found, client = only_run(mlflow_at, id), client_of(mlflow_at)
    card = packed.card
    assert (found.info.status, found.data.tags["status"]) == ("FINISHED", training_runs.PROMOTED)
    assert found.data.tags["bento_tag"] == packed.tag
    assert found.data.metrics["macro_f1"] == card.headline.value
    assert found.data.metrics["baseline"] == card.headline.baseline_value
    assert found.data.metrics["held_out.classes.suspect.recall"] == card.held_out["classes"]["suspect"]["recall"]
    assert found.data.metrics["baselines.majority_class.log_loss"] == card.baselines["majority class"]["log_loss"]
    assert found.data.params["trees"] == str(card.parameters["trees"])
    assert found.data.params["data.fingerprint"] == card.data.fingerprint
    assert {file.path for file in client.list_artifacts(found.info.run_id)} == {"card.json", "model", "pictures"}
    assert [file.path for file in client.list_artifacts(found.info.run_id, "pictures")] == ["pictures/confusion.png"]
    version = client.get_model_version_by_alias("fetal_health", "champion")
    assert (version.tags["bento_tag"], version.run_id) == (packed.tag, found.info.run_id)

    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_at)
    folder = mlflow.artifacts.download_artifacts("models:/fetal_health@champion", dst_path=str(tmp_path))
    exams = fetal_health.read().unseen[0][:5]
    answer = mlflow.pyfunc.load_model(folder).predict({"features": exams})
    assert np.array_equal(answer["probabilities"], packed.compiled()(exams))
    assert (Path(folder) / "packed" / "compiled.onnx").read_bytes() == packed.verify()


def test_the_wines_have_a_picture_too(champions: dict[str, PackedModel]) -> None:
    (figure,) = wine_quality.TRAINING.pictures(champions["wine_quality"]).values()
    (axis,) = figure.axes
    (points, _diagonal) = axis.lines
    truths = np.asarray(points.get_xdata())
    assert np.unique(truths).tolist() == [3, 4, 5, 6, 7, 8]
    assert len(truths) == 275


def test_a_rejected_run_is_a_version_but_not_the_champion(
    mlflow_at: str, use: Use, champions: dict[str, PackedModel]
) -> None:
    use(mlflow_at)
    good, poor = (judged(champions["stock_forecast"], promoted=promoted) for promoted in (True, False))
    id = new_id()
    train_and_record("stock_forecast", lambda: good, new_id())

    train_and_record(
        "stock_forecast",
        lambda: poor,
        id,
        lambda packed: train.pictures(packed, prices.read(), Recipe()),
    )

    found, client = only_run(mlflow_at, id), client_of(mlflow_at)
    assert (found.info.status, found.data.tags["status"]) == ("FINISHED", training_runs.REJECTED)
    assert found.data.tags["reason"] == "as it was judged"
    days = client.get_metric_history(found.info.run_id, "held_out.days.mae")
    assert sorted((one.step, one.value) for one in days) == [
        (day["day"], day["mae"]) for day in poor.card.held_out["days"]
    ]
    assert [file.path for file in client.list_artifacts(found.info.run_id, "pictures")] == ["pictures/forecast.png"]
    versions = {one.run_id: one.version for one in client.search_model_versions("name = 'stock_forecast'")}
    champion = client.get_model_version_by_alias("stock_forecast", "champion")
    assert versions[found.info.run_id] != champion.version
    assert champion.tags["status"] == training_runs.PROMOTED


def test_a_run_that_failed_is_there_with_its_reason(mlflow_at: str, use: Use) -> None:
    use(mlflow_at)
    id = new_id()

    def fail() -> PackedModel:
        raise ValueError("no rows")

    with pytest.raises(ValueError, match="no rows"):
        train_and_record("wine_quality", fail, id)

    found = only_run(mlflow_at, id)
    assert (found.info.status, found.data.tags["reason"]) == ("FAILED", "ValueError: no rows")


def test_the_champions_name_goes_where_the_store_has_it(
    mlflow_at: str, use: Use, champions: dict[str, PackedModel]
) -> None:
    use(mlflow_at)
    first = judged(champions["wine_quality"], promoted=True)
    second = judged(replace(first, tag="wine_quality:another"), promoted=True)
    for packed in (first, second):
        train_and_record("wine_quality", lambda packed=packed: packed, new_id())  # type: ignore[misc]
    client = client_of(mlflow_at)
    assert client.get_model_version_by_alias("wine_quality", "champion").tags["bento_tag"] == second.tag

    assert tracking.name_champion(first.tag) == f"MLflow at {mlflow_at} knows that {first.tag} is the champion"

    assert client.get_model_version_by_alias("wine_quality", "champion").tags["bento_tag"] == first.tag
    said = tracking.name_champion("wine_quality:nosuch")
    assert (
        said
        == f"MLflow at {mlflow_at} was not told: it has no version of wine_quality with the tag wine_quality:nosuch"
    )


@pytest.mark.parametrize("how", ["away", "silent"])
def test_a_server_that_does_not_answer_costs_seconds_and_no_model(
    how: str,
    use: Use,
    champions: dict[str, PackedModel],
    memory: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    packed = judged(champions["wine_quality"], promoted=True)
    with silent() as url:
        where = url if how == "silent" else f"http://127.0.0.1:{free_port()}"
        use(where.replace("http://", "http://me:s3cret@"))
        began = time.monotonic()

        assert train_and_record("wine_quality", lambda: packed) is packed
        said = capsys.readouterr().out
        told = str(tracking.name_champion(packed.tag))

    assert time.monotonic() - began < 30
    assert training_runs.latest(memory)[0].status == training_runs.PROMOTED
    assert f"MLflow at {where} has not got the run, its card and pictures, the model, its version" in said
    assert "the champion's name: " in said
    assert told.startswith(f"MLflow at {where} was not told: ")
    assert "s3cret" not in said + told


def test_a_server_that_answers_too_slowly_is_not_waited_for() -> None:
    answered = Event()

    def tell() -> None:
        answered.wait()

    with pytest.raises(tracking.TrackingError, match=r"longer than 0\.05 s"):
        tracking.bounded(tell, within_s=0.05)
    answered.set()


def test_a_client_that_is_not_installed_is_said(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    use("http://127.0.0.1:9")

    assert "was not told: its client is not installed here" in str(tracking.name_champion("wine_quality:x"))


def test_a_wrong_address_costs_no_model_either(
    use: Use, champions: dict[str, PackedModel], capsys: pytest.CaptureFixture[str]
) -> None:
    use("ftp://me:s3cret@host")

    assert train_and_record("wine_quality", lambda: champions["wine_quality"]) is champions["wine_quality"]

    said = capsys.readouterr().out
    assert "This run is not logged to MLflow: MARMITA_MLFLOW_URI: Value error, must look like" in said
    assert "s3cret" not in said


def test_without_a_server_nothing_of_mlflow_is_imported(
    champions: dict[str, PackedModel], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # whoever imports it fails
    packed = champions["wine_quality"]

    assert train_and_record("wine_quality", lambda: packed) is packed
    assert tracking.name_champion(packed.tag) is None
    assert "MLflow" not in capsys.readouterr().out
