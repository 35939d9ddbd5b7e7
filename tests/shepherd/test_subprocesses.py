"""A command ends by itself, at its limits, or with whoever runs it, and nothing of it is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from marmita.records.operations import leases
from marmita.shepherd import subprocesses
from marmita.shepherd.subprocesses import CommandResult, Limits, run
from marmita.shepherd.supervisor import StopReason
from tests.e2e.server import ROOT, until

PLENTY = Limits(seconds=60, most_bytes=2**32)
FAMILY = """
import os, subprocess, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
for name in sys.argv[2:]:
    says_who = f"from pathlib import Path; Path({str(folder / name)!r}).write_text(str(os.getpid()))"
    code = f"import os, time; {says_who}; time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=name == "runaway")
while sum(bool(path.read_text()) for path in folder.iterdir()) < len(sys.argv) - 2:
    time.sleep(0.01)
draft = folder.with_name(folder.name + "-draft")
draft.write_text(str(os.getpid()))
draft.rename(folder / "child")
"""
"""Starts others, of which one wants to be alone, says who it is, and goes on for as long as it is told to."""
STAYS, GOES = "\ntime.sleep(600)", ""
PARENT = """
import sys
from marmita.shepherd.subprocesses import Limits, run
from marmita.records.operations.leases import now
good_until = now() + 2
run(sys.argv[2:], Limits(60, 2**32), (lambda: good_until) if sys.argv[1] == "leased" else (lambda: float("inf")))
"""


def family(folder: Path, stays: str = STAYS) -> list[str]:
    return [sys.executable, "-c", FAMILY + stays, str(folder), "sibling", "runaway"]


def gone(folder: Path) -> bool:
    """Whether all that have said who they are have ended."""
    pids = [int(path.read_text()) for path in folder.iterdir()]
    assert len(pids) == 3
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ran(said: list[str]) -> Callable[..., CommandResult]:
    """Runs some lines of Python."""

    def ran(code: str, limits: Limits = PLENTY) -> CommandResult:
        return run([sys.executable, "-c", code], limits, say=said.append)

    return ran


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts a process that runs the family."""
    started: list[subprocess.Popen[bytes]] = []

    def start(lease: str = "no lease") -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", PARENT, lease, *family(tmp_path)]
        started.append(subprocess.Popen(command, cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def supervisor(parent: "subprocess.Popen[bytes]") -> psutil.Process:
    (found,) = psutil.Process(parent.pid).children()
    return found


def test_what_it_says_is_handed_on_and_its_last_line_is_kept(
    ran: Callable[..., CommandResult], said: list[str]
) -> None:
    ended = ran("import sys\nfor n in range(40): print('line', n)\nprint('\\xff', file=sys.stderr)\nsys.exit(3)")

    assert said[:40] == [f"line {n}" for n in range(40)]
    assert (ended.status, ended.stop_reason, ended.succeeded) == (3, None, False)
    assert str(ended) == f"it ended with the status 3: {said[-1]}"


def test_one_that_ends_well_ends_well(ran: Callable[..., CommandResult]) -> None:
    assert ran("print('done')").succeeded


def test_one_that_can_not_be_started_says_why(said: list[str]) -> None:
    ended = run(["/no/such/program"], PLENTY, say=said.append)

    assert ended.status == 127
    assert "No such file" in str(ended)


def test_one_that_is_killed_tells_by_what(ran: Callable[..., CommandResult]) -> None:
    ended = ran("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    assert (ended.status, ended.stop_reason) == (-signal.SIGKILL, None)
    assert "SIGKILL" in str(ended)


def test_one_that_takes_too_long_is_ended_with_its_family(tmp_path: Path) -> None:
    begun = time.monotonic()
    ended = run(family(tmp_path), Limits(3, 2**32))

    assert (ended.status, ended.stop_reason) == (None, StopReason.TIMEOUT)
    assert "longer than 3 s" in str(ended)
    assert time.monotonic() - begun < 8
    assert gone(tmp_path)


@pytest.mark.parametrize("who", ["itself", "two children"])
def test_one_that_takes_too_much_memory_with_its_family_is_ended(ran: Callable[..., CommandResult], who: str) -> None:
    size = 150 if who == "itself" else 75
    hog = f"import time; hoard = b'x' * ({size} * 2**20); time.sleep(60)"
    start = f"[subprocess.Popen([sys.executable, '-c', {hog!r}]) for _ in 'ab']"
    children = f"import subprocess, sys\nfor each in {start}: each.wait()"

    ended = ran(hog if who == "itself" else children, Limits(30, 120 * 2**20))

    assert ended.stop_reason == StopReason.MEMORY
    assert "more than 120 MB" in str(ended)


def test_memory_that_processes_share_counts_once(ran: Callable[..., CommandResult]) -> None:
    code = (
        "import os, time\nhoard = b'x' * (80 * 2**20)\n"
        "for _ in range(4):\n    if os.fork() == 0:\n        break\n"
        "time.sleep(2)"
    )
    assert ran(code, Limits(30, 200 * 2**20)).succeeded


def test_whom_it_leaves_behind_is_ended_too(tmp_path: Path) -> None:
    ended = run(family(tmp_path, GOES), PLENTY)

    assert ended.succeeded
    assert gone(tmp_path)


async def test_with_a_shepherd_that_is_killed_all_of_it_ends(
    parent: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    process = parent()
    await until((tmp_path / "child").exists, 20)
    process.kill()
    process.wait()

    await until(lambda: gone(tmp_path), 5)


async def test_with_a_supervisor_that_is_killed_the_command_ends(
    parent: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    process = parent()
    await until((tmp_path / "child").exists, 20)
    child = psutil.Process(int((tmp_path / "child").read_text()))
    supervisor(process).kill()

    await until(lambda: not child.is_running(), 5)
    for name in ("sibling", "runaway"):  # nobody is left who knows of them
        os.kill(int((tmp_path / name).read_text()), signal.SIGKILL)
    assert process.wait(10) == 0


async def test_with_a_shepherd_that_hangs_the_command_ends_when_the_lease_does(
    parent: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    process = parent("leased")
    await until((tmp_path / "child").exists, 20)
    process.send_signal(signal.SIGSTOP)
    try:
        await until(lambda: gone(tmp_path), 10)
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.wait(10) == 0


def test_without_a_lease_nothing_goes_on(said: list[str]) -> None:
    lost = leases.now() - 1

    ended = run([sys.executable, "-c", "import time; time.sleep(60)"], PLENTY, lambda: lost, said.append)

    assert ended.stop_reason == StopReason.LEASE_LOST


def test_when_the_shepherd_is_told_to_end_the_command_ends_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> float:
        if (tmp_path / "child").exists():
            raise KeyboardInterrupt
        return subprocesses.FOREVER

    with pytest.raises(KeyboardInterrupt):
        run(family(tmp_path), PLENTY, told)

    assert gone(tmp_path)
