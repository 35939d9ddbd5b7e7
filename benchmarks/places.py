"""Where things lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(__file__).resolve().parent
CONTENDERS = FOLDER / "contenders"
ENVIRONMENTS = FOLDER / ".environments"
RESULTS = FOLDER / "results"
SOME_RESULTS = RESULTS / "some"
"""Of a run with a part of the contenders only: these are nobody's to quote, and git ignores them."""
