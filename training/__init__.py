"""The training scripts: one module for each model, run as `python -m training.wine_quality`."""

from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
"""The data sets, with their sources and licences."""
