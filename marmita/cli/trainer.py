"""`marmita trainer`: run the trainings that were ordered over HTTP."""

import argparse
import ctypes
import signal
import subprocess
import sys
from importlib.util import find_spec

_SET_DEATH_SIGNAL = 1


def is_installed() -> bool:
    """Tell whether this environment can train. The image of a service can't."""
    return all(find_spec(package) for package in ("marmita.shepherd", "marmita.training", "psutil", "sklearn"))


def run(options: argparse.Namespace) -> None:
    if not is_installed():
        raise ValueError("the trainer is not installed in this image: use the shepherd image (make shepherd-image)")
    from marmita.shepherd import trainer  # the image of a service has no trainer

    sys.exit(trainer.run(options.once))


def start_beside() -> "subprocess.Popen[bytes]":
    """Start a trainer that ends with this process, which becomes the service."""
    command = [sys.executable, "-m", "marmita", "trainer"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent)  # noqa: S603


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends, however it ends."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
