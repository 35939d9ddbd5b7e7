"""Supervised subprocesses: run a command within limits, and never longer than the shepherd itself.

Each command has a supervisor process of its own (`supervisor.py`).
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO

from marmita.shepherd.supervisor import StopReason

FOREVER = float("inf")

_STEP_S = 0.1
_GRACE_S = 3.0
"""The time limit for a supervisor to shut down. After it the supervisor is killed, and the command with it."""
_LONGEST_LINE = 8_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The time and memory limits of a command, with all processes that it starts."""

    seconds: float
    most_bytes: int


@dataclass(frozen=True)
class CommandResult:
    """The result of a command."""

    status: int | None
    """The exit status, or the negative number of the signal that ended it; none if the supervisor stopped it."""
    stop_reason: StopReason | None
    """Why the supervisor stopped it; none if it ended by itself."""
    limits: Limits
    last_line: str
    """The last line of its output. The rest goes to the log only, as every client may read a training's outcome."""

    @property
    def succeeded(self) -> bool:
        return self.status == 0 and self.stop_reason is None

    def __str__(self) -> str:
        match self.stop_reason:
            case StopReason.TIMEOUT:
                how = f"it took longer than {self.limits.seconds:g} s and was stopped"
            case StopReason.MEMORY:
                how = f"it took more than {self.limits.most_bytes / 2**20:.0f} MB of memory and was stopped"
            case StopReason.LEASE_LOST:
                how = "it was stopped because the shepherd lost its lease"
            case StopReason.SHUTDOWN:
                how = "it was stopped because the shepherd shut down"
            case _ if self.status is None:
                how = "it was killed with its supervisor"
            case _ if self.status < 0:
                how = f"it was killed by {_signal(-self.status)}; a system without free memory kills processes"
            case _:
                how = f"it ended with the status {self.status}"
        return how if self.succeeded or not self.last_line else f"{how}: {self.last_line}"


def run(
    command: Sequence[str],
    limits: Limits,
    good_until: Callable[[], float] = lambda: FOREVER,
    say: Callable[[str], None] = log.info,
) -> CommandResult:
    """Run a command to its end, and pass each line of its output to `say`.

    `good_until` returns the deadline of the command by the clock of the leases. It is polled, as the deadline moves.
    """
    report, reporting = os.pipe()
    with open(report, "rb") as reported:  # noqa: PTH123  it has no path
        try:
            process = _start(command, limits, reporting)
        finally:
            os.close(reporting)
        assert process.stdout is not None
        last: list[str] = []
        reading = Thread(target=_pass_on, args=(process.stdout, last, say), name="command output", daemon=True)
        try:
            reading.start()
            _watch(process, good_until)
        finally:
            _stop(process)
            reading.join(_GRACE_S)
        text = reported.read()
    result = json.loads(text) if text else {"status": None, "stop_reason": None}
    reason = result["stop_reason"]
    return CommandResult(result["status"], StopReason(reason) if reason else None, limits, "".join(last))


def _start(command: Sequence[str], limits: Limits, reporting: int) -> "subprocess.Popen[bytes]":
    figures = [str(reporting), str(limits.seconds), str(limits.most_bytes)]
    return subprocess.Popen(  # noqa: S603  the command is one of our own, and there is no shell
        [sys.executable, "-m", "marmita.shepherd.supervisor", *figures, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[reporting],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # a Ctrl-C in a terminal is for the shepherd alone
    )


def _watch(process: "subprocess.Popen[bytes]", good_until: Callable[[], float]) -> None:
    """Send each new deadline to the supervisor until it has ended."""
    assert process.stdin is not None
    sent = FOREVER
    while process.poll() is None:
        if (until := good_until()) != sent:
            sent = until
            with suppress(OSError):  # it has just ended
                process.stdin.write(b"%f\n" % until)
                process.stdin.flush()
        time.sleep(_STEP_S)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a supervisor, and with it the command, if they have not ended yet."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _pass_on(output: IO[bytes], last: list[str], say: Callable[[str], None]) -> None:
    """Pass on all lines of the output, and leave the last one in a list."""
    with output:
        for line in iter(lambda: output.readline(_LONGEST_LINE), b""):
            if text := line.decode(errors="replace").rstrip():
                last[:] = [text]
                say(text)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
