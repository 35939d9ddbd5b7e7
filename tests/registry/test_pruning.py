"""Old versions are deleted from the store, and none that somebody needs."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import bentoml
import pytest
import yaml
from bentoml.exceptions import BentoMLException

from marmita.registry import packed_model, pruning
from marmita.registry.champions import champion_lock, promote, roll_back
from marmita.registry.packed_model import PackedModel
from tests.registry.repacking import repack

NAME = "wine_quality"
LATER = datetime.now(UTC) + timedelta(days=30)

Pack = Callable[[int], list[str]]


@pytest.fixture
def bento_store(empty_store: Path) -> Iterator[Path]:
    """A Bento store beside the empty model store, in the place of the run's own."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    before, folder = BentoMLContainer.bento_store_dir.get(), empty_store.parent / "bentos"
    folder.mkdir()
    BentoMLContainer.bento_store_dir.set(str(folder))
    yield folder
    BentoMLContainer.bento_store_dir.set(before)


@pytest.fixture
def pack(champions: dict[str, PackedModel], bento_store: Path) -> Pack:
    """Packs versions, the oldest first, none of them promoted."""
    return lambda count: [repack(champions[NAME]).version for _ in range(count)]


def stored() -> set[str]:
    return {str(model.tag.version) for model in bentoml.models.list(NAME)}


def prune(keep: int, now: datetime = LATER) -> list[str]:
    return pruning.delete(NAME, pruning.old_versions(NAME, keep, now), keep, now)


def test_the_newest_versions_and_the_champion_stay(pack: Pack, empty_store: Path) -> None:
    versions = pack(6)
    promote(packed_model.get(f"{NAME}:{versions[1]}"))

    assert prune(keep=2) == [f"{NAME}:{versions[number]}" for number in (0, 2, 3)]

    assert stored() == {versions[number] for number in (1, 4, 5)}
    for version in stored():
        packed_model.get(f"{NAME}:{version}").check()
    assert list((empty_store.parent / "tmp").iterdir()) == []
    assert prune(keep=2) == []


def test_former_champions_stay_for_a_rollback(pack: Pack) -> None:
    versions = pack(7)
    for version in versions[:5]:
        promote(packed_model.get(f"{NAME}:{version}"))

    prune(keep=2)

    assert stored() == set(versions[2:])
    assert roll_back(NAME).version == versions[3]
    assert roll_back(NAME).version == versions[2]


def test_former_champions_that_are_gone_count_for_none(pack: Pack) -> None:
    versions = pack(5)
    for version in versions[:4]:
        promote(packed_model.get(f"{NAME}:{version}"))
    bentoml.models.delete(f"{NAME}:{versions[2]}")

    prune(keep=1)

    assert stored() == {versions[1], versions[3], versions[4]}
    assert roll_back(NAME).version == versions[1]


def test_the_versions_of_bentos_stay(pack: Pack, bento_store: Path) -> None:
    versions = pack(5)
    build(bento_store / "marmita" / "one", f"{NAME}:{versions[0]}")
    build(bento_store / "other" / "two", f"fetal_health:{versions[1]}", service=f"{NAME}:{versions[2]}")

    prune(keep=1)

    assert stored() == {versions[0], versions[2], versions[4]}


@pytest.mark.parametrize("content", ["{", "", "models: []\n", "services: 3\nmodels: []\n"])
def test_a_bento_that_can_not_be_read_may_need_any_version(pack: Pack, bento_store: Path, content: str) -> None:
    versions = pack(3)
    (bento_store / "marmita" / "damaged").mkdir(parents=True)
    (bento_store / "marmita" / "damaged" / "bento.yaml").write_text(content)

    with pytest.raises(BentoMLException, match=r"damaged/bento\.yaml"):
        prune(keep=1)
    assert stored() == set(versions)


def test_what_has_just_come_into_the_store_stays_however_old_it_is(pack: Pack, empty_store: Path) -> None:
    """As one that was imported, to be promoted next."""
    versions = pack(3)

    assert prune(keep=1, now=datetime.now(UTC)) == []
    assert prune(keep=1, now=datetime.now(UTC) + timedelta(hours=23)) == []
    assert prune(keep=1, now=datetime.now(UTC) + timedelta(hours=25)) == [f"{NAME}:{one}" for one in versions[:2]]


def test_what_bentoml_takes_for_the_latest_stays(pack: Pack, empty_store: Path) -> None:
    versions = pack(3)
    (empty_store / NAME / "latest").write_text(versions[0])

    prune(keep=1)

    assert stored() == {versions[0], versions[2]}
    assert bentoml.models.get(NAME).tag.version == versions[0]


def test_what_is_no_version_is_left_alone(pack: Pack, empty_store: Path, bento_store: Path) -> None:
    versions = pack(2)
    (empty_store / NAME / "half_copied").mkdir()
    shutil.copytree(empty_store / NAME / versions[0], empty_store / NAME / "damaged")
    (empty_store / NAME / "damaged" / "model.yaml").write_text("{")

    assert prune(keep=1) == [f"{NAME}:{versions[0]}"]
    assert {one.name for one in (empty_store / NAME).iterdir() if one.is_dir()} == {
        "half_copied",
        "damaged",
        versions[1],
    }


def test_a_model_that_was_never_packed_has_nothing_to_delete(bento_store: Path, empty_store: Path) -> None:
    assert pruning.old_versions(NAME, 1, LATER) == []
    assert list(empty_store.iterdir()) == []


def test_what_is_promoted_meanwhile_stays(pack: Pack) -> None:
    versions = pack(3)
    old = pruning.old_versions(NAME, 1, LATER)
    assert old == versions[:2]
    promote(packed_model.get(f"{NAME}:{versions[0]}"))

    assert pruning.delete(NAME, old, 1, LATER) == [f"{NAME}:{versions[1]}"]
    assert stored() == {versions[0], versions[2]}


def test_nothing_is_deleted_while_a_champion_is_named(pack: Pack) -> None:
    versions = pack(2)
    deleting = Thread(target=prune, args=(1,))
    with champion_lock(NAME) as promote_it:
        deleting.start()
        deleting.join(0.3)
        assert stored() == set(versions)
        promote_it(packed_model.get(f"{NAME}:{versions[0]}"))
    deleting.join(20)
    assert stored() == set(versions)


@pytest.mark.parametrize("at", ["rename", "rmtree"])
def test_a_killed_process_leaves_whole_versions_only(pack: Pack, empty_store: Path, at: str) -> None:
    """Killed right after the second version has left the store, or when one of its files is deleted."""
    versions = pack(4)
    script = f"""
        import os, shutil, signal
        from datetime import UTC, datetime, timedelta
        from pathlib import Path
        from marmita.registry import pruning

        def kill(*_, **__):
            os.kill(os.getpid(), signal.SIGKILL)

        moved = []
        rename = Path.rename
        def rename_and_die(path, target):
            rename(path, target)
            moved.append(path)
            if len(moved) == 2:
                kill()

        def delete_and_die(folder, **_):
            next(Path(folder).rglob("card.json")).unlink()
            kill()

        if {at!r} == "rename":
            Path.rename = rename_and_die
        else:
            shutil.rmtree = delete_and_die
        later = datetime.now(UTC) + timedelta(days=30)
        pruning.delete({NAME!r}, pruning.old_versions({NAME!r}, 1, later), 1, later)
    """
    environment = os.environ | {"BENTOML_HOME": str(empty_store.parent), "TMPDIR": str(empty_store.parent)}

    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)

    assert killed.returncode == -signal.SIGKILL
    left = versions[2:] if at == "rename" else versions[3:]
    assert stored() == set(left)
    for version in left:
        packed_model.get(f"{NAME}:{version}").check()
    assert any((empty_store.parent / "tmp").iterdir())
    assert prune(keep=1) == [f"{NAME}:{version}" for version in left[:-1]]
    assert stored() == {versions[3]}
    assert list((empty_store.parent / "tmp").iterdir()) == []


def test_a_full_disk_or_a_folder_that_is_read_only_deletes_nothing(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = pack(3)

    def read_only(path: Path, target: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "rename", read_only)
    with pytest.raises(OSError, match="Read-only"):
        prune(keep=1)
    assert stored() == set(versions)


def build(folder: Path, *models: str, service: str = "") -> None:
    """What `bentoml build` says of a Bento's models."""
    folder.mkdir(parents=True)
    services = [{"name": "Marmita", "models": [{"tag": service}] if service else []}]
    manifest = {"services": services, "models": [{"tag": tag} for tag in models]}
    (folder / "bento.yaml").write_text(yaml.safe_dump(manifest))
