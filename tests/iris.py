"""Iris as a CSV, written as mini-ml-trainer's sample is: all texts quoted, and numbers like `.2`."""

from functools import cache

from sklearn.datasets import load_iris

SPECIES = ("Setosa", "Versicolor", "Virginica")
MEASURES = ("sepal.length", "sepal.width", "petal.length", "petal.width")


@cache
def iris(*, with_species: bool = True) -> bytes:
    """150 flowers."""
    data, target = load_iris(return_X_y=True)
    lines = [",".join(f'"{name}"' for name in (*MEASURES, *(["variety"] if with_species else [])))]
    for measures, species in zip(data, target, strict=True):
        cells = [f"{value:g}".removeprefix("0") for value in measures]
        lines.append(",".join([*cells, *([f'"{SPECIES[species]}"'] if with_species else [])]))
    return "\r\n".join(lines).encode()
