"""Files that several processes and containers write, each of which may be killed at any time."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from time import monotonic, sleep
from typing import IO
from uuid import uuid4

from bentoml.exceptions import BentoMLException

PATIENCE_S = 30.0
"""Who has a lock packs a model meanwhile, which takes seconds."""

_EVERY_S = 0.05


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock, which the system takes from a process that is killed. `what` names what it is for."""
    deadline = monotonic() + PATIENCE_S
    while (held := _taken(path)) is None:
        if monotonic() > deadline:
            raise BentoMLException(f"{what}: another process has had the lock {path} for {PATIENCE_S:g} s; try again")
        sleep(_EVERY_S)
    with held:
        yield


def write(path: Path, text: str) -> None:
    """Write a small file so that nobody ever reads half of it."""
    draft = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        draft.write_text(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A fresh folder to pack in, on the store's file system. What killed runs have left is swept out.

    A run holds a lock as long as it packs, and the system takes it from one that is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for lock in folder.glob("packing-*.lock"):
        # NFS locks only what is open for writing; and whoever packs at the same time may have swept it out first.
        with suppress(BlockingIOError, FileNotFoundError), lock.open("r+") as held:
            flock(held, LOCK_EX | LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
    fresh = folder / f"packing-{uuid4().hex}"
    lock = fresh.with_suffix(".lock")
    with lock.open("w") as held:
        flock(held, LOCK_EX)
        fresh.mkdir()
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _taken(path: Path) -> IO[str] | None:
    """The lock, unless another process has it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.open("a")  # NFS locks only what is open for writing
    except OSError as error:
        raise BentoMLException(f"{path} can't be locked: {error}") from None
    try:
        flock(held, LOCK_EX | LOCK_NB)
        if os.path.samestat(os.fstat(held.fileno()), path.stat()):
            return held
        # BentoML deletes a model's folder with its last version: that was the lock of a folder which is gone.
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        held.close()
        raise BentoMLException(f"{path} can't be locked: {error}") from None
    held.close()
    return None
