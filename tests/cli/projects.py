"""Projects without models, and data sets to make models from."""

import csv
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from marmita.cli.parser import parser
from tests.e2e.server import ROOT

FLOWERS = ["sepal length", "Petal.Length", "species"]
NASTY = [
    ' spaces "and" quotes ',
    "l'été à 30 °C",
    "two\nlines",
    "长度",
    "class",
    "json",
    "model_config",
    "l",
    "2nd",
    "back\\slash",
    "a \N{EN DASH} dash \N{MULTIPLICATION SIGN} times",
    "x" * 110,
    "how much does the one who answers, all in all and in an ordinary year, spend on flowers for other people",
]
New = Callable[..., None]


def write(file: Path, headers: list[str], rows: list[list[object]], delimiter: str = ",") -> Path:
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text, delimiter=delimiter).writerows([headers, *rows])
    return file


def flowers(folder: Path, **options: str) -> Path:
    dice = random.Random(3)
    rows: list[list[object]] = [
        [round(dice.gauss(5 + kind, 0.4), 1), round(dice.gauss(2 * kind, 0.3), 2), f"Iris-{name}"]
        for kind, name in enumerate(("setosa", "versicolor", "virginica"))
        for _ in range(40)
    ]
    return write(folder / "flowers.csv", FLOWERS, rows, **options)


def houses(folder: Path) -> Path:
    dice = random.Random(4)
    rows: list[list[object]] = []
    for _ in range(120):
        columns = [round(dice.uniform(-1, 1), 3) for _ in NASTY]
        rows.append([*columns, round(sum(columns) + dice.gauss(0, 0.1), 2)])
    return write(folder / "houses.csv", [*NASTY, "Price (€)"], rows, delimiter=";")


def make_project(folder: Path) -> Path:
    for package in ("bentos", "training"):
        (folder / package).mkdir(parents=True)
        shutil.copy(ROOT / package / "__init__.py", folder / package)
    (folder / "marmita").symlink_to(ROOT / "marmita")
    shutil.copy(ROOT / "configuration.yaml", folder)
    return folder


def run_new(*arguments: str | Path) -> None:
    options = parser().parse_args(["new", *map(str, arguments)])
    options.run(options)


def python(project: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | variables
    return subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
