"""BentoML's private names, each behind a function that says what it is for."""

from pathlib import Path

from bentoml._internal.configuration.containers import BentoMLContainer as BentoMLContainer
from bentoml._internal.models import ModelStore as ModelStore

# BentoML's home, its model store and its metrics.


def bentoml_home() -> Path:
    """Return the folder in which BentoML keeps all that it keeps."""
    return Path(BentoMLContainer.bentoml_home.get())


def model_store_dir() -> Path:
    """Return the folder of the model store in BentoML's home."""
    return Path(BentoMLContainer.model_store_dir.get())


def model_store(folder: Path | None = None) -> ModelStore:
    """Return the model store of a folder, or of BentoML's home.

    In a Bento that brings its models along, BentoML's own functions see those only.
    """
    return ModelStore(folder or model_store_dir())


def use_model_store(folder: Path) -> None:
    """Let BentoML's own functions read and write the models of this folder."""
    BentoMLContainer.model_store.set(ModelStore(folder))


def metrics_folder() -> Path:
    """Return the folder into which the processes of a service write their metrics, and make it if need be."""
    folder = Path(BentoMLContainer.prometheus_multiproc_dir.get())
    folder.mkdir(parents=True, exist_ok=True)
    return folder
