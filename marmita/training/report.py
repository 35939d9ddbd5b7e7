"""Tables of scores for the terminal."""

from collections.abc import Mapping, Sequence

ScoreLine = tuple[str, str, str, str]
"""A row of the table in docs/models.md: the model, the score, its value, and that of the baselines."""


def table(title: str, columns: Sequence[str], lines: Mapping[str, Mapping[str, float]]) -> str:
    """Return a table with a line for each model and a column for each score. A missing score is left out."""
    width = max(len(name) for name in [title, *lines])
    cells = [f"{title:<{width}}" + "".join(f"{column:>20}" for column in columns)]
    for name, scores in lines.items():
        numbers = (f"{scores[column]:20.4f}" if column in scores else " " * 20 for column in columns)
        cells.append(f"{name:<{width}}" + "".join(numbers))
    return "\n".join(cells)
