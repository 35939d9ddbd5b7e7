"""File locks and atomic writes for processes and containers that share a store and may be killed at any time."""

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
"""How long to wait for a lock. Its holder packs a model, which takes seconds."""

_POLL_INTERVAL_S = 0.05


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a file lock. The kernel releases it if the process is killed. `what` names the locked object in errors."""
    deadline = monotonic() + PATIENCE_S
    while (held := _try_lock(path)) is None:
        if monotonic() > deadline:
            raise BentoMLException(f"{what}: another process has had the lock {path} for {PATIENCE_S:g} s; try again")
        sleep(_POLL_INTERVAL_S)
    with held:
        yield


def write(path: Path, text: str) -> None:
    """Write a small file atomically."""
    draft = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        draft.write_text(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Yield a new folder to pack in, on the store's file system, and delete the folders that killed processes left.

    A process holds a lock on its folder while it packs. The kernel releases it if the process is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for lock in folder.glob("packing-*.lock"):
        # NFS locks only files open for writing. Another process may have deleted this one first.
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


def _try_lock(path: Path) -> IO[str] | None:
    """Return the locked file, or None if another process holds the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.open("a")  # NFS locks only files open for writing
    except OSError as error:
        raise BentoMLException(f"{path} can't be locked: {error}") from None
    try:
        flock(held, LOCK_EX | LOCK_NB)
        if os.path.samestat(os.fstat(held.fileno()), path.stat()):
            return held
        # BentoML deletes a model's folder with its last version. This lock then belonged to a deleted folder.
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        held.close()
        raise BentoMLException(f"{path} can't be locked: {error}") from None
    held.close()
    return None
