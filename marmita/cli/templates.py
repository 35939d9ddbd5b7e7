"""The templates of the two files of a new model."""

from collections.abc import Mapping, Sequence
from string import Template
from textwrap import shorten

from marmita.cli.columns import Column, Plan

_LINE = 120
_INDENT = "    "

_SERVICE = Template('''"""$title: $count in, $target out."""

import bentoml
$pydantic
from marmita.contract.rows import $rows
from marmita.runtime.tables import $base, serves
from marmita.service import Service
$headers

class $row(Row):
    """One row of $words."""
$aliases
$features


@bentoml.service(service_class=Service)
@serves($row, route="/$path/$verb", rows="rows")
class $name($base):
    """$do $words by $count."""

    target = "$target"
$outcome
''')

_TRAINING = Template('''"""Train the $kind of $words."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import Dummy$base
from sklearn.ensemble import RandomForest$base
from sklearn.linear_model import $linear
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bentos.$model import $names
$imports
from training import DATA


def read() -> Examples[$number]:
    """Return each distinct row once$and_class."""
    table = pd.read_csv(DATA / "$model.csv"$options)
$distinct
    return from_table(
        table,
        $row,
        $truths,$headers
        source="$model.csv",
        licence="not stated",
    )


def model(seed: int = SEED, trees: int = 200) -> Any:
    return RandomForest$base(n_estimators=trees, min_samples_leaf=2, random_state=seed)


def baselines() -> dict[str, Any]:
$baselines


TRAINING = ${base}Training($name, read, model, baselines)

if __name__ == "__main__":
    TRAINING.main()
''')

_CLASSIFIER = {
    "kind": "classifier",
    "verb": "classify",
    "linear": "LogisticRegression",
    "number": "np.int64",
    "and_class": ", with the index of its class",
    "imports": "from marmita.training.classifier import ClassifierTraining\n"
    "from marmita.training.examples import SEED, Examples, distinct, from_table",
    "baselines": "    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))\n"
    '    return {"majority class": DummyClassifier(strategy="prior"), "logistic regression": logistic}',
}
_REGRESSOR = {
    "kind": "regressor",
    "verb": "predict",
    "linear": "RidgeCV",
    "number": "np.float64",
    "and_class": "",
    "imports": "from marmita.training.examples import SEED, Examples, distinct, from_table\n"
    "from marmita.training.regressor import RegressorTraining",
    "baselines": "    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 3, 11)))\n"
    '    return {"mean": DummyRegressor(), "ridge regression": ridge}',
}


def service_file(plan: Plan) -> str:
    """Return the text of `bentos/<model>.py`."""
    headers = _headers(plan)
    return _SERVICE.substitute(
        _words(plan),
        pydantic="from pydantic import ConfigDict\n" if headers else "",
        rows="Row, also_known_as, feature" if headers else "Row, feature",
        headers=_headers_declared(headers) if headers else "",
        aliases="\n    model_config = ConfigDict(alias_generator=also_known_as(HEADERS))\n" if headers else "",
        features="\n".join(map(_feature, plan.columns)),
        outcome=_outcome(plan),
    )


def training_file(plan: Plan) -> str:
    """Return the text of `training/<model>.py`."""
    words = _words(plan)
    target = quoted(plan.target_header)
    separator = "" if plan.delimiter == "," else f", sep={quoted(plan.delimiter)}"
    if plan.classes:
        options = f"{separator}, dtype={{{target}: str}}, keep_default_na=False"
        truths = f"table[{target}].map(TRAINING.classes.index).to_numpy(dtype=np.int64)"
    else:
        options, truths = separator, f"table[{target}].to_numpy(dtype=np.float64)"
    headers = bool(_headers(plan))
    return _TRAINING.substitute(
        words,
        names=", ".join([*(["HEADERS"] if headers else []), *sorted([words["name"], words["row"]])]),
        options=options,
        distinct=_wrapped(
            f"{_INDENT}table = distinct(", ["table", words["row"], target, *(["HEADERS"] if headers else [])], ")"
        ),
        truths=truths,
        headers="\n        headers=HEADERS," if headers else "",
    )


def class_name(model: str) -> str:
    return "".join(part.capitalize() for part in model.split("_"))


def quoted(text: str) -> str:
    """Return the literal of a string as the formatter writes it. Escape characters that look like others."""
    marks = ("'", '"') if text.count('"') > text.count("'") else ('"', "'")
    escaped = (_escaped(one) for one in text)
    return marks[0] + "".join(f"\\{one}" if one == marks[0] else one for one in escaped) + marks[0]


def _escaped(one: str) -> str:
    is_plain = one.isascii() or (one <= "\xff" and one.isalpha()) or one in "°²³"
    return one if is_plain and one.isprintable() and one != "\\" else one.encode("unicode_escape").decode()


def _words(plan: Plan) -> dict[str, str]:
    """Return the substitutions that both files need."""
    kind = _CLASSIFIER if plan.classes else _REGRESSOR
    name, words, count = class_name(plan.model), plan.model.replace("_", " "), len(plan.columns)
    return kind | {
        "name": name,
        "row": f"{name}Row",
        "model": plan.model,
        "path": plan.model.replace("_", "-"),
        "words": words,
        "title": words.capitalize(),
        "target": plan.target,
        "count": f"{count} numbers" if count > 1 else "one number",
        "base": kind["kind"].capitalize(),
        "do": kind["verb"].capitalize(),
    }


def _headers(plan: Plan) -> dict[str, str]:
    return {column.name: column.header for column in plan.columns if column.name != column.header}


def _headers_declared(headers: Mapping[str, str]) -> str:
    lines = [f"{_INDENT}{quoted(name)}: {quoted(header)}," for name, header in headers.items()]
    marked = (line if len(line) <= _LINE else f"{line}  # noqa: E501" for line in lines)
    about = '"""The data set\'s column names, where they differ from the features\'."""'
    return "\n".join(["", "HEADERS = {", *marked, "}", about, ""])


def _feature(column: Column) -> str:
    about = shorten(column.header.replace("_", " "), 80, placeholder=" ...")
    arguments = [
        quoted(about[:1].upper() + about[1:]),
        f"unit={quoted(column.unit)}",
        f"low={_number(column.low)}",
        f"high={_number(column.high)}",
        f"example={_number(column.example)}",
    ]
    return _wrapped(f"{_INDENT}{column.name}: float = feature(", arguments, ")")


def _outcome(plan: Plan) -> str:
    if plan.classes:
        return _wrapped(f"{_INDENT}classes = (", [quoted(name) for name in plan.classes], ")", literal=True)
    low, high = map(_number, plan.bounds)
    return f"{_INDENT}low, high = {low}, {high}"


def _wrapped(start: str, parts: Sequence[str], end: str, *, literal: bool = False) -> str:
    """Return a bracketed list on one line if it fits, else wrapped as the formatter does it."""
    line = f"{start}{', '.join(parts)}{end}"
    if len(line) <= _LINE:
        return line
    inner = f"{_INDENT}{_INDENT}{', '.join(parts)}"
    lines = [inner] if len(inner) <= _LINE and not literal else [f"{_INDENT}{_INDENT}{part}," for part in parts]
    return "\n".join([start, *lines, f"{_INDENT}{end}"])


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
