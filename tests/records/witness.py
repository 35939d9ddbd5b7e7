"""Who watches a recorder, and can wait for what it does."""

from collections import Counter
from collections.abc import Callable
from threading import Condition


class Witness:
    """An observer that remembers all it is told."""

    def __init__(self) -> None:
        self.written = 0
        self.lost: Counter[str] = Counter()
        self.left = 0
        self.reached: list[bool] = []
        self._changed = Condition()

    def recorded(self, rows: int) -> None:
        with self._changed:
            self.written += rows
            self._changed.notify_all()

    def dropped(self, rows: int, reason: str) -> None:
        with self._changed:
            self.lost[reason] += rows
            self._changed.notify_all()

    def queued(self, rows: int) -> None:
        with self._changed:
            self.left = rows
            self._changed.notify_all()

    def reachable(self, yes: bool) -> None:
        with self._changed:
            self.reached.append(yes)
            self._changed.notify_all()

    def sees(self, what: Callable[["Witness"], bool], within_s: float = 20) -> bool:
        """Wait until it is so; False if it takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: what(self), within_s)
