"""The supervisor of a command that a shepherd runs.

It is started as `python -m marmita.shepherd.supervisor REPORT SECONDS BYTES COMMAND...`.

It stops the command, with all processes that the command has started, in four cases: the shepherd ends (a crash
included), the time limit or the memory limit is exceeded, or the shepherd's lease expires. The shepherd writes the
lease's expiry to the supervisor's standard input, and closes it when it ends. The result goes as JSON to the file
descriptor REPORT. The module imports little, so that it starts at once.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum

import psutil


class StopReason(StrEnum):
    """Why a command was stopped."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    SHUTDOWN = "shutdown"
    """The shepherd is shutting down, or is dead."""
    LEASE_LOST = "lease_lost"


_STEP_S = 0.1
_MEMORY_INTERVAL_S = 0.5
"""The interval between memory checks: one takes some milliseconds."""
_KILL_TIMEOUT_S = 5.0
"""The time limit for killing all processes. One that can't be killed, such as one that waits for a disk, is left."""
_SET_DEATH_SIGNAL = 1
_SET_SUBREAPER = 36
_NOT_STARTED = 127

_libc = ctypes.CDLL(None, use_errno=True)


class Supervisor:
    """The parent process of one command, which enforces its limits."""

    def __init__(self, seconds: float, most_bytes: int, command: Sequence[str]) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._command = list(command)
        self._until = float("inf")
        self._unread = b""
        self._status: int | None = None
        self._next_memory_check = 0.0

    def run(self) -> dict[str, object]:
        """Run the command. Return its exit status, and the reason if the supervisor stopped it."""
        _libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)  # an orphan becomes a child of this process, and can't escape
        for gentle in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(gentle, signal.SIG_IGN)  # only the shepherd stops it, by its input
        started = time.monotonic()
        child = self._start()
        stop_reason = None
        while not self._is_over(child):
            if stop_reason := self._listen() or self._exceeds(time.monotonic() - started):
                break
        end_all()
        return {"status": self._status, "stop_reason": stop_reason}

    def _start(self) -> int:
        supervisor = os.getpid()
        child = os.fork()
        if child:
            return child
        try:
            os.setsid()
            _libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:  # it died before the death signal was set
                os._exit(_NOT_STARTED)
            for gentle in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(gentle, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvp(self._command[0], self._command)  # noqa: S606
        except OSError as error:
            sys.stderr.write(f"{self._command[0]} can't be started: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(_NOT_STARTED)

    def _is_over(self, child: int) -> bool:
        """Return whether the command has ended, and reap orphans."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == child:
                    self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def _listen(self) -> StopReason | None:
        """Wait briefly for a new deadline from the shepherd. Return the reason to stop, if there is one."""
        if select.select([0], [], [], _STEP_S)[0]:
            read = os.read(0, 65_536)
            if not read:
                return StopReason.SHUTDOWN
            *lines, self._unread = (self._unread + read).split(b"\n")
            if lines:
                self._until = float(lines[-1])
        return StopReason.LEASE_LOST if time.clock_gettime(time.CLOCK_BOOTTIME) >= self._until else None

    def _exceeds(self, seconds: float) -> StopReason | None:
        if seconds >= self._seconds:
            return StopReason.TIMEOUT
        if seconds < self._next_memory_check:
            return None
        self._next_memory_check = seconds + _MEMORY_INTERVAL_S
        return StopReason.MEMORY if is_too_much(self._most_bytes) else None


def is_too_much(most_bytes: int) -> bool:
    """Return whether all descendants together take more memory than this. Shared memory counts once."""
    family = descendants()
    # Proportional sizes take long to read: they are read only if the sum of the resident sizes is too much.
    return sum(map(_resident, family)) > most_bytes and sum(map(_proportional, family)) > most_bytes


def descendants() -> list[psutil.Process]:
    """Return the children of this process, their children, and so on."""
    return psutil.Process().children(recursive=True)


def end_all() -> None:
    """Kill all descendants, and those that they start meanwhile."""
    deadline = time.monotonic() + _KILL_TIMEOUT_S
    while (family := descendants()) and time.monotonic() < deadline:
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_STEP_S / 10)


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _proportional(process: psutil.Process) -> int:
    """Return a process's private memory and its part of the shared memory (PSS)."""
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return _resident(process)


def main(arguments: Sequence[str]) -> None:
    report, seconds, most_bytes, *command = arguments
    os.set_inheritable(int(report), False)
    result = Supervisor(float(seconds), int(most_bytes), command).run()
    with suppress(OSError):  # the reader may be dead
        os.write(int(report), json.dumps(result).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
