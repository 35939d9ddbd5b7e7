"""The dataset store: uploaded files, named by their SHA-256. The same file twice is one.

A file appears in the store whole or not at all. What a killed process left is deleted by the next upload.
"""

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from bentoml.exceptions import NotFound

from marmita.contract.errors import ErrorCode, RequestError
from marmita.internals.bentoml import bentoml_home
from marmita.registry.locks import locked, staging
from marmita.settings import settings

_SUFFIX = ".csv"
_DIGEST = re.compile("[0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OWNER_ONLY = 0o600
"""The permissions of a file, whose rows may be about patients."""


class IncomingDataset:
    """A file on its way into the store. Unless it is kept, nothing of it is left when it is closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digest = sha256()
        self._opened = ExitStack()
        with _translate_errors():
            self.path = self._opened.enter_context(staging(folder / "tmp")) / "file"
            self.path.touch(_OWNER_ONLY)
            self._file = self._opened.enter_context(self.path.open("wb"))

    def write(self, block: bytes) -> None:
        self._digest.update(block)
        with _translate_errors():
            self._file.write(block)

    def flush(self) -> None:
        """Write what is buffered, so that `path` can be read."""
        with _translate_errors():
            self._file.flush()

    def keep(self) -> str:
        """Add the file, which is whole now, to the store. Return its name there: its SHA-256."""
        name = self._digest.hexdigest()
        with _translate_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
            with _store_lock(self._folder):
                self.path.replace(self._folder / f"{name}{_SUFFIX}")
        return name

    def close(self) -> None:
        with suppress(OSError):  # what is buffered may not fit on the disk
            self._opened.close()


class DatasetStore:
    """The files in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def receive(self) -> IncomingDataset:
        """Return a new file to write to. Close it in any case."""
        return IncomingDataset(self._folder)

    def path(self, name: str) -> Path:
        """Return the path of a file. Raise `NotFound` if it is not in the store."""
        path = self._folder / f"{name}{_SUFFIX}"
        if not _DIGEST.fullmatch(name) or not path.is_file():
            raise NotFound(f"there is no dataset {name}")
        return path

    def delete_unused(self, used: Collection[str], before: datetime) -> int:
        """Delete the files that are not used, and were last uploaded before this time. Return their number."""
        if not self._folder.is_dir():
            return 0
        with _store_lock(self._folder):  # the same file may be uploaded again meanwhile
            old = [
                path
                for path in self._folder.glob(f"*{_SUFFIX}")
                if path.stem not in used and path.stat().st_mtime < before.timestamp()
            ]
            for path in old:
                path.unlink()
        return len(old)


def dataset_store() -> DatasetStore:
    """Return the store that the settings name."""
    return DatasetStore(Path(settings().datasets or bentoml_home() / "datasets"))


def _store_lock(folder: Path) -> AbstractContextManager[None]:
    return locked(folder / ".lock", "the dataset store")


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate the errors of a disk that is full or can't be written."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise RequestError(ErrorCode.STORAGE_FULL, "there is no space left for uploaded files") from error
        raise RequestError(ErrorCode.STORAGE_UNAVAILABLE, "uploaded files can't be stored now") from error
