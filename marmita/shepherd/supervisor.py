"""The supervisor of a command that a shepherd runs.

It is started as `python -m marmita.shepherd.supervisor REPORT SECONDS BYTES COMMAND...`.

Whatever becomes of the shepherd, a crash included, the command and all processes that it has started end with it. They
end, too, when they take too long or too much memory, and when the shepherd's lease has run out: the shepherd writes on
the supervisor's input until when the command may go on, and closes it when it ends. The result goes as JSON to the file
descriptor REPORT. It imports little, so that it starts at once.
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
    """Whoever ran it is shutting down, or is gone."""
    LEASE_LOST = "lease_lost"


_STEP_S = 0.1
_MEMORY_INTERVAL_S = 0.5
"""To look at the memory of all processes takes some milliseconds."""
_PATIENCE_S = 5.0
"""A process that can't be killed, as one that waits for a broken disk, is left after this."""
_SET_DEATH_SIGNAL = 1
_SET_SUBREAPER = 36
_NOT_STARTED = 127

_libc = ctypes.CDLL(None, use_errno=True)


class Supervisor:
    """Runs one command, and ends it."""

    def __init__(self, seconds: float, most_bytes: int, command: Sequence[str]) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._command = list(command)
        self._until = float("inf")
        self._unread = b""
        self._status: int | None = None
        self._next_memory_check = 0.0

    def run(self) -> dict[str, object]:
        """What came of it: the command's exit status, and why it was ended, if it was."""
        _libc.prctl(_SET_SUBREAPER, 1, 0, 0, 0)  # who loses its parent becomes this one's child, and can't get away
        for gentle in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(gentle, signal.SIG_IGN)  # the shepherd says when it ends
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
            if os.getppid() != supervisor:  # it was gone before it could be asked to take this one along
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
        """Whether the command has ended. Those that have lost their parent are buried on the way."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == child:
                    self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def _listen(self) -> StopReason | None:
        """Wait a moment for a word from the shepherd."""
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
    """Whether all that was started takes more memory together. Memory that processes share counts once."""
    family = descendants()
    # The share of each process takes long to count: it is counted only where the simple sum is too much.
    return sum(map(_resident, family)) > most_bytes and sum(map(_proportional, family)) > most_bytes


def descendants() -> list[psutil.Process]:
    """Return all processes that were started by this one, by those that it has started, and so on."""
    return psutil.Process().children(recursive=True)


def end_all() -> None:
    """Kill all that was started, and what they start meanwhile."""
    deadline = time.monotonic() + _PATIENCE_S
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
    """Return the memory that a process has to itself, and its part of the memory that it shares."""
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return _resident(process)


def main(arguments: Sequence[str]) -> None:
    report, seconds, most_bytes, *command = arguments
    os.set_inheritable(int(report), False)
    came_of_it = Supervisor(float(seconds), int(most_bytes), command).run()
    with suppress(OSError):  # there may be nobody left who would read it
        os.write(int(report), json.dumps(came_of_it).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
