"""Uploaded files are stored once, whole, and for their owner only."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from bentoml.exceptions import NotFound

from marmita.contract.errors import ErrorCode, RequestError
from marmita.registry.datasets import DatasetStore
from tests.e2e.server import ROOT

ROWS = b"a,b\n1,2\n"
NAME = sha256(ROWS).hexdigest()
KILLED = """
import os, signal, sys
from pathlib import Path
from marmita.registry.datasets import DatasetStore
incoming = DatasetStore(Path(sys.argv[1])).receive()
incoming.write(b"a,b")
incoming.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "datasets"


@pytest.fixture
def store(folder: Path) -> DatasetStore:
    return DatasetStore(folder)


def keep(store: DatasetStore, content: bytes = ROWS) -> str:
    incoming = store.receive()
    try:
        incoming.write(content[:3])
        incoming.write(content[3:])
        return incoming.keep()
    finally:
        incoming.close()


def files(folder: Path) -> list[Path]:
    """All files but the lock."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


@contextmanager
def small_disk(bytes_left: int) -> Iterator[None]:
    """A limit on the size of files, which the kernel reports as a full disk would be."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_named_by_its_content(store: DatasetStore, folder: Path) -> None:
    assert keep(store) == NAME

    path = store.path(NAME)
    assert path.read_bytes() == ROWS
    assert path.stat().st_mode & 0o777 == 0o600
    assert files(folder) == [path]


def test_the_same_file_twice_is_one(store: DatasetStore, folder: Path) -> None:
    assert keep(store) == keep(store) == NAME
    other = keep(store, b"c\n3\n")

    assert {path.stem for path in files(folder)} == {NAME, other}


def test_what_is_not_kept_leaves_nothing(store: DatasetStore, folder: Path) -> None:
    incoming = store.receive()
    incoming.write(ROWS)
    incoming.flush()
    assert incoming.path.read_bytes() == ROWS
    incoming.close()

    assert files(folder) == []
    with pytest.raises(NotFound):
        store.path(NAME)


@pytest.mark.parametrize("name", ["0" * 64, "", "../" + NAME, NAME.upper(), NAME + "\n"])
def test_there_is_no_other_dataset(store: DatasetStore, name: str) -> None:
    keep(store)

    with pytest.raises(NotFound):
        store.path(name)


def test_what_a_killed_process_left_goes_with_the_next_upload(store: DatasetStore, folder: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, check=False)
    assert [path.name for path in files(folder) if path.name == "file"] == ["file"]

    keep(store)

    assert files(folder) == [store.path(NAME)]


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_full_disk_is_an_error_that_leaves_nothing(store: DatasetStore, folder: Path, size: int) -> None:
    """A small file fails when it is kept, as it is buffered until then."""

    with small_disk(50), pytest.raises(RequestError) as full:
        keep(store, b"x" * size)

    assert full.value.code is ErrorCode.STORAGE_FULL
    assert files(folder) == []


def test_a_folder_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RequestError) as error:
        DatasetStore(tmp_path / "file" / "datasets").receive()

    assert error.value.code is ErrorCode.STORAGE_UNAVAILABLE


def test_files_that_nothing_uses_are_deleted_when_they_are_old(store: DatasetStore, folder: Path) -> None:
    assert store.delete_unused([], datetime.now(UTC)) == 0  # there is no folder yet
    unused, used, young = keep(store, b"a\n"), keep(store, b"b\n"), keep(store, b"c\n")
    long_ago = time.time() - 3600
    for name in (unused, used):
        os.utime(store.path(name), (long_ago, long_ago))

    assert store.delete_unused([used], datetime.now(UTC) - timedelta(minutes=30)) == 1

    assert {path.stem for path in files(folder)} == {used, young}


def test_one_that_is_uploaded_again_is_young(store: DatasetStore) -> None:
    keep(store)
    long_ago = time.time() - 3600
    os.utime(store.path(NAME), (long_ago, long_ago))
    keep(store)

    assert store.delete_unused([], datetime.now(UTC) - timedelta(minutes=30)) == 0
