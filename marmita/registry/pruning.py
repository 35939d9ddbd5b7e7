"""Pruning: selects the old versions of a model and deletes them from the store."""

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bentoml.exceptions import BentoMLException

from marmita.internals.bentoml import bento_store_dir, model_store, model_store_dir
from marmita.registry import champions
from marmita.registry.bento_models import bento_models
from marmita.registry.locks import staging

YOUNGEST = timedelta(days=1)
"""The age below which a version stays: someone may be about to promote it, or to build a Bento with it."""

log = logging.getLogger(__name__)


def old_versions(name: str, keep: int, now: datetime | None = None) -> list[str]:
    """Return the versions that may be deleted, oldest first.

    The newest `keep` versions, the last `keep` former champions and the champion stay. So do the versions that a Bento
    in the Bento store was built with, and those that were added to the store within a day.
    """
    latest = (now or datetime.now(UTC)) - YOUNGEST
    found = _versions(name)
    former = [version for version in champions.former_versions(name) if version in found]
    needed = {*found[-keep:], *former[-keep:], *_used_by_bentos(name), *_referenced(name)}
    return [version for version in found if version not in needed and _added_at(name, version) < latest]


def delete(name: str, versions: Collection[str], keep: int, now: datetime | None = None) -> list[str]:
    """Delete those of the versions that are still old once the champion is locked. Return their tags.

    A version leaves the store atomically, by a rename; its files are deleted afterwards. The next process that packs or
    deletes removes what a killed one left.
    """
    deleted = []
    with champions.champion_lock(name), staging(model_store_dir().resolve().parent / "tmp") as aside:
        for version in old_versions(name, keep, now):
            if version in versions:
                (model_store_dir() / name / version).rename(aside / version)
                deleted.append(f"{name}:{version}")
    return deleted


def _versions(name: str) -> list[str]:
    """Return all versions, oldest first. Skip folders that are no models."""
    store, made = model_store(), {}
    for folder in _folders(name):
        try:
            made[folder.name] = store.get(f"{name}:{folder.name}").creation_time
        except Exception as error:  # a folder may be broken in any way
            log.warning("version %s:%s not deleted, as it can't be read: %s", name, folder.name, error)
    return sorted(made, key=lambda version: (made[version], version))


def _folders(name: str) -> list[Path]:
    home = model_store_dir() / name
    return [one for one in home.iterdir() if one.is_dir()] if home.is_dir() else []


def _used_by_bentos(name: str) -> set[str]:
    """Return the versions that Bentos were built with. Raise if a Bento can't be read: it may need any version."""
    found = set()
    for manifest in bento_store_dir().glob("*/*/bento.yaml"):
        try:
            tags = bento_models(manifest)
        except Exception as error:
            raise BentoMLException(f"{manifest} can't be read: {error}") from error
        found |= {tag.partition(":")[2] for tag in tags if tag.partition(":")[0] == name}
    return found


def _referenced(name: str) -> set[str]:
    """Return the champion, and the version that BentoML resolves `latest` to."""
    files = (model_store_dir() / name / file for file in ("champion", "latest"))
    return {file.read_text().strip() for file in files if file.exists()}


def _added_at(name: str, version: str) -> datetime:
    """Return when a version was added to the store, which may be long after it was made."""
    return datetime.fromtimestamp((model_store_dir() / name / version).stat().st_ctime, UTC)
