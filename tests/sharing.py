"""How several workers share a run: which tests stay together, and which begin first.

Workers know what a test needs, and whoever hands the tests out knows only their names: a file tells the one from the
other. (xdist's own groups are written into names, which pytest no longer allows.)
"""

import json
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOPOLOGIES = ("colocated", "split")

# What takes longest, begun first: else one worker would still be at it when all others have nothing left to do.
_FIRST = (
    "tests/e2e/test_container.py",
    "trained",
    "served",
    "tests/deploy/test_monitoring.py split",
    "tests/deploy/test_monitoring.py colocated",
    "tests/benchmarks/test_harness.py",
    "tests/e2e/test_bento.py",
    "alone",
)


def share_out(items: list[pytest.Item], file: Path) -> None:
    """Put the tests in order, and write down which of them stay together."""
    groups = {item.nodeid: _group(item) for item in items}
    items.sort(key=lambda item: _FIRST.index(groups[item.nodeid]) if groups[item.nodeid] in _FIRST else len(_FIRST))
    draft = file.with_name(uuid4().hex)  # each worker writes the same
    draft.write_text(json.dumps({name: group for name, group in groups.items() if group != "alone"}))
    draft.rename(file)


def _group(item: pytest.Item) -> str:
    """With whom a test stays: with those that need what takes long to make, or with all of its file."""
    fixtures = set(getattr(item, "fixturenames", ()))
    if fixtures & {"own_home", "own_store"}:
        return "alone"
    if "trained" in fixtures:
        return "trained"
    if fixtures & {"colocated", "split", "server"}:
        return "served"
    file, _, name = item.nodeid.partition("::")
    values = name.partition("[")[2].rstrip("]").split("-")
    return " ".join([file, *(topology for topology in TOPOLOGIES if topology in values)])


class Scheduler(LoadScopeScheduling):
    """Gives tests that stay together to one worker, and each of the others to whoever is free, in the given order."""

    def __init__(self, config: pytest.Config, log: Producer | None, file: Path) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._file = file

    @cached_property
    def _groups(self) -> dict[str, str]:
        groups: dict[str, str] = json.loads(self._file.read_text())
        return groups

    def _split_scope(self, nodeid: str) -> str:
        return self._groups.get(nodeid, nodeid)
