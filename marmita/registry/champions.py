"""The champion of each model: the version of the store that is served.

A file `champion` beside the store's own `latest` names it, and a file `promoted` those that were it, oldest first. A
Bento names its models itself: `startup.py` says what counts inside one.
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
    """Nobody else names a champion of this model meanwhile: who is compared with today's can be sure that it stays it.

    Yields what promotes a version.
    """
    home = model_store_dir() / name
    with locked(home / ".champion.lock", f"the champion of {name}"):
        yield partial(_promote, home)


def promote(packed: PackedModel) -> None:
    """Make a version the champion, whoever is it now."""
    with champion_lock(packed.name) as promote_it:
        promote_it(packed)


def roll_back(name: str, check: Callable[[PackedModel], None] = lambda packed: packed.check()) -> PackedModel:
    """Make the version that was the champion before this one the champion again, if `check` does not raise."""
    home = model_store_dir() / name
    now = champion_version(name)
    if now is None:
        raise NotFound(f"{name} has no champion in the store")
    with champion_lock(name):
        if (newer := champion_version(name)) != now:
            raise BentoMLException(
                f"{name}:{newer} has become the champion meanwhile, in the place of {now}: look again"
            )
        earlier = [version for version in _before(home, now) if (home / version).is_dir()]
        if not earlier:
            raise NotFound(f"no earlier champion of {name} is in the store")
        before = packed_model.get(f"{name}:{earlier[-1]}")
        check(before)
        _name_champion(home, earlier)
    return before


def champion_version(name: str) -> str | None:
    """The champion's version, if there is a champion."""
    try:
        return (model_store_dir() / name / "champion").read_text().strip()
    except FileNotFoundError:
        return None


def champion(name: str) -> PackedModel | None:
    """The champion in the store, if there is one."""
    version = champion_version(name)
    try:
        return packed_model.get(f"{name}:{version}") if version else None
    except NotFound:
        return None


def former_versions(name: str) -> list[str]:
    """Return the champions before this one, oldest first: `roll_back` goes back to the last one that is there."""
    now = champion_version(name)
    return _before(model_store_dir() / name, now) if now else _promoted(model_store_dir() / name)


def _promote(home: Path, packed: PackedModel) -> None:
    now = champion_version(packed.name)
    earlier = [*former_versions(packed.name), *([now] if now else [])]
    _name_champion(home, [*(version for version in earlier if version != packed.version), packed.version])


def _name_champion(home: Path, promoted: list[str]) -> None:
    """The last one is the champion. Who is killed between the two files leaves a list that does not name it yet, or
    that goes on after it: `_before` reads both right, and the next one writes it anew.
    """
    write(home / "champion", promoted[-1])
    write(home / "promoted", "\n".join(promoted))


def _before(home: Path, champion: str) -> list[str]:
    """The champions before this one, oldest first."""
    promoted = _promoted(home)
    return promoted[: promoted.index(champion)] if champion in promoted else promoted


def _promoted(home: Path) -> list[str]:
    try:
        return (home / "promoted").read_text().split()
    except FileNotFoundError:
        return []
