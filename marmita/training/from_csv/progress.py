"""The progress of a training: its steps, how much of it is done, and the time that is left."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

_MIN_DONE = 0.02
"""Before so much is done, nobody can tell how long the rest takes."""


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    step: str
    done: float
    """The share that is done, from 0 to 1."""
    seconds_left: float | None
    """About how long the rest takes; None if it is unknown."""


class Clock:
    """The clock of one training, which tells its progress."""

    def __init__(self, seconds: float, tell: Callable[[Progress], None]) -> None:
        self.seconds = seconds
        """The time that the training may take."""
        self._tell = tell
        self._start = monotonic()

    @property
    def elapsed(self) -> float:
        return monotonic() - self._start

    def tell(self, step: str, done: float, left: float | None = None) -> None:
        """Tell that a step has begun, how much of the whole training is done, and about how many seconds are left."""
        if left is None and done >= _MIN_DONE:
            left = self.elapsed * (1 - done) / done
        self._tell(Progress(step, done, left))
