"""Model stores other than the run's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore


@contextmanager
def using_store(folder: Path) -> Iterator[None]:
    """Make this folder the model store of this process until the block ends."""
    before = BentoMLContainer.model_store_dir.get(), BentoMLContainer.model_store.get()
    BentoMLContainer.model_store_dir.set(str(folder))
    BentoMLContainer.model_store.set(ModelStore(folder))
    try:
        yield
    finally:
        BentoMLContainer.model_store_dir.set(before[0])
        BentoMLContainer.model_store.set(before[1])
