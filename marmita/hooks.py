"""What takes part in a worker's life beside the application."""


class LifespanHook:
    """What lives beside the application: from when that has started until the last request is answered."""

    def begin(self) -> None:
        """Nothing to do, as a rule."""

    def end(self) -> None:
        """Nothing to do, as a rule."""
