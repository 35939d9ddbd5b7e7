"""`marmita new`: write the two files of a model, `bentos/<model>.py` and `training/<model>.py`."""

import argparse
import csv
import math
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from marmita import discovery

_NAME = r"[a-z][a-z0-9_]{0,62}"
_MOST_CLASSES = 100
_LINE = 120


@dataclass(frozen=True)
class Column:
    """A feature of the new model."""

    name: str
    header: str
    """What the file calls it."""
    unit: str
    low: float
    high: float
    example: float

    def declared(self) -> str:
        about = self.header.replace("_", " ").strip().capitalize()
        values = f'unit="{self.unit}", low={self.low:g}, high={self.high:g}, example={self.example:g}'
        line = f'{self.name}: float = feature("{about}", {values})'
        if len(line) <= _LINE - 4:
            return line
        return f'{self.name}: float = feature(\n    "{about}", {values}\n)'


@dataclass(frozen=True)
class Plan:
    """All that the two files say."""

    model: str
    columns: Sequence[Column]
    target: str
    target_header: str
    classes: Sequence[str]
    """Empty: a regressor."""
    bounds: tuple[float, float]
    """The least and the greatest value of a regressor's labels."""
    file: str
    """The data set's name in `training/data/`."""
    delimiter: str


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("new", help="write the two files of a new model, from the columns of a CSV")
    parser.add_argument("model", metavar="NAME", help="such as iris or house_prices")
    parser.add_argument("--csv", type=Path, help="the data set: it is copied into training/data/")
    parser.add_argument("--target", help="the column that is predicted: text makes a classifier, numbers a regressor")
    parser.add_argument("--kind", choices=["classifier", "regressor"], help="if the target does not say it")
    parser.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out")
    parser.add_argument("--unit", action="append", default=[], metavar="COLUMN=UNIT", help="the unit of a column")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    if not re.fullmatch(_NAME, options.model):
        raise ValueError("a model's name is lower case letters, digits and _, and begins with a letter: such as iris")
    service, script = Path(discovery.PACKAGE, f"{options.model}.py"), Path(discovery.SCRIPTS, f"{options.model}.py")
    for path in (service, script, service.with_suffix(""), script.with_suffix("")):
        if path.exists():
            raise ValueError(f"{path} is there already")
    if not (service.parent.is_dir() and script.parent.is_dir()):
        raise ValueError(f"there are no {discovery.PACKAGE}/ and {discovery.SCRIPTS}/ here: run this in the project")
    file = Path(options.csv or _ask("The CSV of the data set", "--csv"))
    planned = plan(
        options.model,
        file,
        options.target or _ask("The column that is predicted", "--target"),
        kind=options.kind,
        drop=options.drop,
        units=dict(each.partition("=")[::2] for each in options.unit),
    )
    kept = script.parent / "data" / planned.file
    kept.parent.mkdir(exist_ok=True)
    if file.resolve() != kept.resolve():
        if kept.exists():
            raise ValueError(f"{kept} is there already")
        shutil.copyfile(file, kept)
    service.write_text(service_file(planned))
    script.write_text(training_file(planned))
    print(f"Wrote {service} and {script}; the data set is {kept}.")
    print("Say in them what the columns mean, and where the data comes from. Then train and serve:")
    print(f"  python -m training.{options.model} && make serve")


def plan(
    model: str,
    file: Path,
    target: str,
    *,
    kind: str | None = None,
    drop: Sequence[str] = (),
    units: dict[str, str] | None = None,
) -> Plan:
    """Read what the two files say from the columns of a CSV."""
    headers, rows, delimiter = _read(file)
    if unknown := {target, *drop, *(units or {})} - set(headers):
        raise ValueError(f"{file} has no column {', '.join(sorted(unknown))}: it has {', '.join(headers)}")
    truths = [row[headers.index(target)] for row in rows]
    is_classifier = kind == "classifier" or (kind is None and not all(map(_is_number, truths)))
    classes = sorted(set(truths)) if is_classifier else []
    if is_classifier and not 2 <= len(classes) <= _MOST_CLASSES:
        raise ValueError(f"{target} has {len(classes)} classes: a classifier has 2 to {_MOST_CLASSES}")
    if not is_classifier and not all(map(_is_number, truths)):
        raise ValueError(f"{target} holds text: a regressor predicts numbers")
    columns = [
        _column(header, [row[place] for row in rows], (units or {}).get(header, "1"))
        for place, header in enumerate(headers)
        if header != target and header not in drop
    ]
    if not columns:
        raise ValueError("no column is left to predict from")
    names = [column.name for column in columns]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two columns would go by the name {doubled.pop()}: rename one in the file")
    bounds = (0.0, 0.0) if is_classifier else _bounds([float(value) for value in truths])
    return Plan(model, columns, _identifier(target), target, classes, bounds, f"{model}.csv", delimiter)


def _read(file: Path) -> tuple[list[str], list[list[str]], str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} can't be read: {error}") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    headers, *rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if row] or [[]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(headers):
            raise ValueError(f"{file}: line {number} has {len(row)} columns, the first line has {len(headers)}")
    if not rows:
        raise ValueError(f"{file} has no rows")
    if len(set(headers)) < len(headers):
        raise ValueError(f"{file} has a column twice")
    return headers, rows, delimiter


def _column(header: str, values: Sequence[str], unit: str) -> Column:
    wrong = next((line for line, value in enumerate(values, start=2) if not _is_number(value)), None)
    if wrong is not None:
        text = f"line {wrong} of the column {header} is {values[wrong - 2]!r}, not a number"
        raise ValueError(f"{text}: mend it, or leave the column out with --drop {header}")
    numbers = [float(value) for value in values]
    low, high = _bounds(numbers)
    return Column(_identifier(header), header, unit.replace('"', "'"), low, high, numbers[0])


def _bounds(numbers: Sequence[float]) -> tuple[float, float]:
    """Return what can exist at all, guessed with much room around what was seen."""
    low, high = min(numbers), max(numbers)
    room = 2 * (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(room))
    ends = math.floor((low - room) / step) * step, math.ceil((high + room) / step) * step
    return (0.0 if low >= 0 else ends[0]), ends[1]


def _identifier(header: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", header.lower()).strip("_")
    return name if re.match(r"[a-z]", name) else f"column_{name}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _ask(what: str, flag: str) -> str:
    if not sys.stdin.isatty():
        raise ValueError(f"{flag} is missing: {what[0].lower()}{what[1:]}")
    return input(f"{what}: ").strip()


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def service_file(plan: Plan) -> str:
    """Return the text of `bentos/<model>.py`."""
    name, words = _class_name(plan.model), plan.model.replace("_", " ")
    row = f"{name}Row"
    verb, base = ("classify", "Classifier") if plan.classes else ("predict", "Regressor")
    headers = {column.name: column.header for column in plan.columns if column.name != column.header}
    declared = indent("\n".join(column.declared() for column in plan.columns), "    ")
    body = [f'target = "{plan.target}"']
    if plan.classes:
        body.append(f"classes = {_tuple(plan.classes)}")
    else:
        body.append(f"low, high = {plan.bounds[0]:g}, {plan.bounds[1]:g}")
    aliases = "    model_config = ConfigDict(alias_generator=also_known_as(HEADERS))\n\n" if headers else ""
    return "".join(
        [
            f'"""{words.capitalize()}: {len(plan.columns)} numbers in, {plan.target.replace("_", " ")} out."""\n\n',
            "import bentoml\n",
            "from pydantic import ConfigDict\n" if headers else "",
            "\nfrom marmita.contract.rows import Row, ",
            "also_known_as, " if headers else "",
            "feature\n",
            f"from marmita.runtime.tables import {base}, serves\n",
            "from marmita.service import Service\n\n",
            _headers(headers),
            "\n" if not headers else "",
            f"class {row}(Row):\n",
            f'    """One row of {words}."""\n\n',
            aliases,
            declared,
            "\n\n\n@bentoml.service(service_class=Service)\n",
            f'@serves({row}, route="/{plan.model.replace("_", "-")}/{verb}", rows="rows")\n',
            f"class {name}({base}):\n",
            f'    """{verb.capitalize()} {words} by {len(plan.columns)} numbers."""\n\n',
            indent("\n".join(body), "    "),
            "\n",
        ]
    )


def _headers(headers: dict[str, str]) -> str:
    if not headers:
        return ""
    lines = "".join(f"    {_quoted(name)}: {_quoted(header)},\n" for name, header in headers.items())
    return f'HEADERS = {{\n{lines}}}\n"""The data set\'s own column names, where they differ from ours."""\n\n\n'


def training_file(plan: Plan) -> str:
    """Return the text of `training/<model>.py`."""
    name, words = _class_name(plan.model), plan.model.replace("_", " ")
    row = f"{name}Row"
    has_headers = any(column.name != column.header for column in plan.columns)
    names = ", ".join([*(["HEADERS"] if has_headers else []), *sorted([name, row])])
    separator = "" if plan.delimiter == "," else f", sep={_quoted(plan.delimiter)}"
    headers = "\n        headers=HEADERS," if has_headers else ""
    shared = {
        "words": words,
        "names": names,
        "model": plan.model,
        "row": row,
        "file": plan.file,
        "separator": separator,
        "headers": headers,
        "service": name,
        "target": _quoted(plan.target_header),
    }
    return (_CLASSIFIER if plan.classes else _REGRESSOR).format(**shared)


def _tuple(values: Sequence[str]) -> str:
    line = f"({', '.join(map(_quoted, values))})"
    if len(line) <= _LINE - 20:
        return line
    return "(\n" + "".join(f"    {_quoted(value)},\n" for value in values) + ")"


def _quoted(text: str) -> str:
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


_CLASSIFIER = '''"""Train the classifier of {words}."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bentos.{model} import {names}
from marmita.training.classifier import ClassifierTraining
from marmita.training.examples import SEED, Examples, from_table
from training import DATA


def read() -> Examples[np.int64]:
    """Return each distinct row once, with the place of its class."""
    table = pd.read_csv(DATA / "{file}", dtype={{{target}: str}}{separator}).drop_duplicates()
    return from_table(
        table,
        {row},
        table[{target}].map({service}.inner.classes.index).to_numpy(dtype=np.int64),{headers}
        source="{file}",
        licence="not stated",
    )


def model(seed: int = SEED, trees: int = 200) -> Any:
    return RandomForestClassifier(n_estimators=trees, min_samples_leaf=2, random_state=seed)


def baselines() -> dict[str, Any]:
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return {{"majority class": DummyClassifier(strategy="prior"), "logistic regression": logistic}}


TRAINING = ClassifierTraining({service}, read, model, baselines)

if __name__ == "__main__":
    TRAINING.main()
'''

_REGRESSOR = '''"""Train the regressor of {words}."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bentos.{model} import {names}
from marmita.training.examples import SEED, Examples, from_table
from marmita.training.regressor import RegressorTraining
from training import DATA


def read() -> Examples[np.float64]:
    """Return each distinct row once."""
    table = pd.read_csv(DATA / "{file}"{separator}).drop_duplicates()
    return from_table(
        table,
        {row},
        table[{target}].to_numpy(dtype=np.float64),{headers}
        source="{file}",
        licence="not stated",
    )


def model(seed: int = SEED, trees: int = 200) -> Any:
    return RandomForestRegressor(n_estimators=trees, min_samples_leaf=2, random_state=seed)


def baselines() -> dict[str, Any]:
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 3, 11)))
    return {{"mean": DummyRegressor(), "ridge regression": ridge}}


TRAINING = RegressorTraining({service}, read, model, baselines)

if __name__ == "__main__":
    TRAINING.main()
'''
