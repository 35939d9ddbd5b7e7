"""Which version is the champion: several processes may name one, and each of them may be killed at any time."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from errno import EISDIR
from fcntl import flock
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
from bentoml.exceptions import BentoMLException, NotFound

from marmita.registry import champions, locks, packed_model
from marmita.registry.packed_model import PackedModel

NAME = "wine_quality"
HOLD = "import fcntl, sys; held = open(sys.argv[1], 'a'); fcntl.flock(held, fcntl.LOCK_EX); print(flush=True); input()"

Make = Callable[[str], PackedModel]


@pytest.fixture
def make(empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Versions of which only the names matter."""
    monkeypatch.setattr(PackedModel, "check", lambda _: None)
    monkeypatch.setattr(packed_model, "get", lambda tag: version(tag.partition(":")[2]))

    def version(name: str) -> PackedModel:
        folder = empty_store / NAME / name
        folder.mkdir(parents=True, exist_ok=True)
        return PackedModel(f"{NAME}:{name}", folder, "")

    return version


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.1)


def promoted(home: Path) -> list[str]:
    return (home / NAME / "promoted").read_text().split()


def test_who_promotes_at_the_same_time_forgets_nobody(
    make: Make, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, both_have_read = champions._read_promoted, Barrier(2)

    def slowly(home: Path) -> list[str]:
        found = read(home)
        with suppress(BrokenBarrierError):
            both_have_read.wait(timeout=0.3)
        return found

    champions.promote(make("first"))
    monkeypatch.setattr(champions, "_read_promoted", slowly)
    with ThreadPoolExecutor() as pool:
        list(pool.map(champions.promote, [make("second"), make("third")]))

    assert set(promoted(empty_store)) == {"first", "second", "third"}
    assert promoted(empty_store)[-1] == champions.champion_version(NAME)


def test_a_lock_that_can_not_be_had_is_said_and_goes_with_its_process(
    make: Make, empty_store: Path, impatient: None
) -> None:
    champions.promote(make("first"))
    champions.promote(make("second"))
    lock = empty_store / NAME / ".champion.lock"
    other = subprocess.Popen([sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout
        other.stdout.readline()
        for change in (lambda: champions.promote(make("third")), lambda: champions.roll_back(NAME)):
            with pytest.raises(BentoMLException, match=rf"{NAME}: .*process .*{lock} "):
                change()
        assert promoted(empty_store) == ["first", "second"]
        other.send_signal(signal.SIGKILL)
        other.wait()

        assert champions.roll_back(NAME).version == "first"


def test_a_folder_that_can_not_be_written_to_is_said(make: Make, empty_store: Path) -> None:
    version = make("first")
    lock = empty_store / NAME / ".champion.lock"
    lock.mkdir()

    with pytest.raises(BentoMLException, match=f"{lock} .*{os.strerror(EISDIR)}"):
        champions.promote(version)


def test_a_lock_of_a_folder_that_was_deleted_is_none(
    make: Make, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BentoML deletes a model's folder with its last version."""
    deleted = empty_store / "deleted"

    def delete_then_lock(held: int, how: int) -> None:
        if not deleted.exists():
            (empty_store / NAME).rename(deleted)
        flock(held, how)

    monkeypatch.setattr(locks, "flock", delete_then_lock)
    with champions.champion_lock(NAME):
        assert (empty_store / NAME / ".champion.lock").exists()


def test_who_goes_back_goes_back_from_the_champion_that_he_saw(
    make: Make, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions.promote(make("first"))
    champions.promote(make("second"))
    champion_lock, third = champions.champion_lock, make("third")

    with monkeypatch.context() as patch:

        def after_another(name: str) -> object:
            patch.undo()
            champions.promote(third)
            return champion_lock(name)

        patch.setattr(champions, "champion_lock", after_another)
        with pytest.raises(BentoMLException, match=f"{NAME}:third .*second"):
            champions.roll_back(NAME)
    assert champions.champion_version(NAME) == "third"


@pytest.mark.parametrize("full", ["champion", "promoted"])
def test_a_promotion_that_stops_half_way_leaves_a_champion_and_all_before_it(
    make: Make, empty_store: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    champions.promote(make("first"))
    champions.promote(make("second"))
    with monkeypatch.context() as patch:
        patch.setattr(champions, "write", stops_at(full))
        with pytest.raises(OSError, match="No space"):
            champions.promote(make("third"))

    assert champions.champion_version(NAME) == ("second" if full == "champion" else "third")
    assert champions.roll_back(NAME).version == ("first" if full == "champion" else "second")


@pytest.mark.parametrize("full", ["champion", "promoted"])
def test_a_way_back_that_stops_half_way_leaves_a_champion_and_all_before_it(
    make: Make, empty_store: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    for version in ("first", "second", "third"):
        champions.promote(make(version))
    with monkeypatch.context() as patch:
        patch.setattr(champions, "write", stops_at(full))
        with pytest.raises(OSError, match="No space"):
            champions.roll_back(NAME)

    assert champions.champion_version(NAME) == ("third" if full == "champion" else "second")
    champions.promote(make("fourth"))
    before = ["first", "second", "third"] if full == "champion" else ["first", "second"]
    assert promoted(empty_store) == [*before, "fourth"]


def stops_at(name: str) -> Callable[[Path, str], None]:
    def write(path: Path, text: str) -> None:
        if path.name == name:
            raise OSError(28, "No space left on device")
        locks.write(path, text)

    return write


def test_a_file_that_could_not_be_written_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(draft: Path, _text: str) -> None:
        draft.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)

    with pytest.raises(OSError, match="No space"):
        locks.write(tmp_path / "champion", "first")
    assert list(tmp_path.iterdir()) == []


def test_without_an_earlier_champion_there_is_no_way_back_and_no_folder_is_made(make: Make, empty_store: Path) -> None:
    with pytest.raises(NotFound, match="fetal_health"):
        champions.roll_back("fetal_health")
    assert not (empty_store / "fetal_health").exists()

    champions.promote(make("first"))
    with pytest.raises(NotFound, match=f"earlier .*{NAME}"):
        champions.roll_back(NAME)


def test_two_that_sweep_at_once_do_not_trip_over_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One finds a lock that the other has swept out when it looks closer."""
    monkeypatch.setattr(Path, "glob", lambda folder, _: iter([folder / "packing-gone.lock"]))

    with locks.staging(tmp_path) as fresh:
        assert fresh.is_dir()
