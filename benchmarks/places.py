"""Paths of the benchmarks."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent
CONTENDERS = FOLDER / "contenders"
ENVIRONMENTS = FOLDER / ".environments"
RESULTS = FOLDER / "results"
SOME_RESULTS = RESULTS / "some"
"""The results of a run with some of the contenders. git ignores them, as they are not comparable."""
