"""BentoML's private names are where `marmita/internals/bentoml.py` looks for them.

These are canaries: after an upgrade of BentoML the first one that fails names what has moved.
"""

from importlib import import_module
from pathlib import Path

import bentoml
import pytest

from marmita.internals import bentoml as internals

# BentoML's home, its model store and its metrics.

CONTAINER = "bentoml._internal.configuration.containers"


@pytest.mark.parametrize("setting", ["bentoml_home", "model_store_dir", "model_store", "prometheus_multiproc_dir"])
def test_the_container_has_each_setting_that_is_read(setting: str) -> None:
    container = import_module(CONTAINER).BentoMLContainer

    provider = getattr(container, setting, None)
    assert provider is not None, f"BentoML has moved {CONTAINER}.BentoMLContainer.{setting}"
    assert provider.get(), f"{CONTAINER}.BentoMLContainer.{setting} is empty"


def test_models_are_made_in_the_store_that_is_named(tmp_path: Path, empty_store: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with bentoml.models.create("canary", _model_store=internals.model_store(folder)) as model:
        (Path(model.path) / "file").write_text("")

    made = folder / "canary" / str(model.tag.version)
    assert (made / "file").exists(), "bentoml.models.create has lost its argument _model_store, or ignores it"
    assert internals.model_store(folder).get(model.tag).path == str(made), "ModelStore(folder).get has changed"
    assert bentoml.models.list() == []


def test_a_store_that_is_used_is_the_one_that_bentoml_reads(tmp_path: Path, empty_store: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    with bentoml.models.create("canary", _model_store=internals.model_store(folder)):
        pass

    internals.use_model_store(folder)

    names = [model.tag.name for model in bentoml.models.list()]
    assert names == ["canary"], "BentoMLContainer.model_store is not what bentoml.models reads any more"


def test_folders_lie_in_bentomls_home() -> None:
    assert internals.model_store_dir() == internals.bentoml_home() / "models", "BentoML's model store has moved"
    assert internals.metrics_folder().is_dir()
