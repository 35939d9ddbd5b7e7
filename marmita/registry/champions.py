"""The champion of each model: the version in the store that a service serves.

The file `champion`, beside the store's own `latest`, names it. The file `promoted` lists the former champions and
this one, oldest first. A Bento names its own models: `startup.py` chooses between the two.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bentoml.exceptions import BentoMLException, NotFound

from marmita.internals.bentoml import model_store_dir
from marmita.registry import packed_model
from marmita.registry.locks import locked, write
from marmita.registry.packed_model import PackedModel


@contextmanager
def champion_lock(name: str) -> Iterator[Callable[[PackedModel], None]]:
    """Keep other processes from changing a model's champion, and yield a function that promotes a version.

    A candidate that is compared with the champion inside the block is compared with the one that it would replace.
    """
    home = model_store_dir() / name
    with locked(home / ".champion.lock", f"the champion of {name}"):
        yield partial(_promote, home)


def promote(packed: PackedModel) -> None:
    """Make a version the champion, whichever version is the champion now."""
    with champion_lock(packed.name) as promote_it:
        promote_it(packed)


def roll_back(name: str, check: Callable[[PackedModel], None] = lambda packed: packed.check()) -> PackedModel:
    """Make the previous champion the champion again, unless `check` raises."""
    home = model_store_dir() / name
    now = champion_version(name)
    if now is None:
        raise NotFound(f"{name} has no champion in the store")
    with champion_lock(name):
        if (newer := champion_version(name)) != now:
            raise BentoMLException(
                f"{name}:{newer} has become the champion meanwhile, replacing {now}: check it and try again"
            )
        earlier = [version for version in _champions_before(home, now) if (home / version).is_dir()]
        if not earlier:
            raise NotFound(f"no earlier champion of {name} is in the store")
        before = packed_model.get(f"{name}:{earlier[-1]}")
        check(before)
        _name_champion(home, earlier)
    return before


def champion_version(name: str) -> str | None:
    """Return the champion's version, or None if the model has no champion."""
    try:
        return (model_store_dir() / name / "champion").read_text().strip()
    except FileNotFoundError:
        return None


def champion(name: str) -> PackedModel | None:
    """Return the champion, or None if the store has none."""
    version = champion_version(name)
    try:
        return packed_model.get(f"{name}:{version}") if version else None
    except NotFound:
        return None


def former_versions(name: str) -> list[str]:
    """Return the former champions, oldest first. `roll_back` returns to the last one that the store still has."""
    now = champion_version(name)
    return _champions_before(model_store_dir() / name, now) if now else _read_promoted(model_store_dir() / name)


def _promote(home: Path, packed: PackedModel) -> None:
    now = champion_version(packed.name)
    earlier = [*former_versions(packed.name), *([now] if now else [])]
    _name_champion(home, [*(version for version in earlier if version != packed.version), packed.version])


def _name_champion(home: Path, promoted: list[str]) -> None:
    """Write both files; the last version of the list is the champion.

    A process that is killed between the two leaves a list that lacks the new champion, or that still has versions after
    it. `_champions_before` reads both correctly, and the next promotion rewrites the list.
    """
    write(home / "champion", promoted[-1])
    write(home / "promoted", "\n".join(promoted))


def _champions_before(home: Path, champion: str) -> list[str]:
    """Return the champions before this one, oldest first."""
    promoted = _read_promoted(home)
    return promoted[: promoted.index(champion)] if champion in promoted else promoted


def _read_promoted(home: Path) -> list[str]:
    try:
        return (home / "promoted").read_text().split()
    except FileNotFoundError:
        return []
