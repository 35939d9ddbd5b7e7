"""Lifespan hooks of a worker."""


class LifespanHook:
    """A hook that begins after the application's startup, and ends after the last request is answered."""

    def begin(self) -> None:
        """Start the hook's work. Does nothing by default."""

    def end(self) -> None:
        """Stop the hook's work. Does nothing by default."""
