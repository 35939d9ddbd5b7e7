"""What several tests of the web layer need."""

from pathlib import Path

import pytest


@pytest.fixture
def path(socket_path: Path) -> str:
    """A path for a server's Unix socket."""
    return str(socket_path)
