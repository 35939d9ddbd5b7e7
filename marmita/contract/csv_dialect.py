"""How the cells of a CSV are separated. It imports little, as commands and load tests need it, too."""

import csv
import io

DELIMITERS = ",;\t|"
COMPARED = 2**16
"""The characters of a file that its delimiter is found from."""


class Dialect(csv.excel):
    """How cells are quoted and separated, but for the delimiter. Spaces after a delimiter are not part of a cell."""

    skipinitialspace = True


def delimiter_of(text: str) -> str:
    """Return the delimiter of a file, from its start: the one by which most lines are as wide as the first.

    If several are equally good, the one that gives the most columns.
    """
    start = text[:COMPARED]
    if len(start) < len(text):
        start = start.rpartition("\n")[0] or start
    return max(DELIMITERS, key=lambda one: _agreement(start, one))


def _agreement(text: str, delimiter: str) -> tuple[float, int]:
    """Return the share of lines that are as wide as the first, if that has several columns, and its width."""
    try:
        widths = [len(row) for row in csv.reader(io.StringIO(text, newline=""), Dialect, delimiter=delimiter) if row]
    except csv.Error:
        return 0.0, 0
    first = widths[0] if widths else 0
    return (widths.count(first) / len(widths) if first > 1 else 0.0), first
