"""Packing of estimators that somebody has already: from a notebook, or from a file."""
