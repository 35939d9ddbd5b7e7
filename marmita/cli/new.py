"""`marmita new`: write the two files of a new model, `bentos/<model>.py` and `training/<model>.py`."""

import argparse
import keyword
import re
import shutil
import sys
from pathlib import Path

from marmita import discovery
from marmita.cli.columns import DataSet, plan
from marmita.cli.parser import KINDS
from marmita.cli.templates import class_name, service_file, training_file

_NAME = r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*"
_LONGEST_NAME = 63
_IMPORTED = frozenset({"Any", "Classifier", "Examples", "Regressor", "Row", "Service"})
"""The names of classes that the two files import."""


def run(options: argparse.Namespace) -> None:
    service, script, copy = _paths(options.model or _ask("The name of the model, such as iris", "NAME"))
    model = service.stem
    data = DataSet.read(Path(options.csv or _ask("The CSV of the data set", "--csv")).expanduser())
    named = ", ".join(filter(None, data.headers))
    target = data.named(options.target or _ask(f"The column that is predicted, one of {named}", "--target"))
    kind = options.kind or _kind(data, target)
    planned = plan(model, data, target, kind, options.drop, dict(map(_unit, options.unit)))
    if copy.exists() and not copy.samefile(data.file):
        raise ValueError(f"{copy} is there already")
    _write({service: service_file(planned), script: training_file(planned)}, data.file, copy)
    print(f"Wrote {service} and {script}: a {kind} of {planned.target} by {len(planned.columns)} columns of {copy}.")
    for column in planned.left_out:
        print(f"Left out: {column}.")
    print("The bounds and descriptions in both files are guesses: correct them, and add the source of the data.")
    print("Then train the model and serve it:")
    print(f"  python -m training.{model} && bentoml serve")


def _paths(model: str) -> tuple[Path, Path, Path]:
    """Return the paths of the service, the training script and the data set of a new model."""
    if not re.fullmatch(_NAME, model) or len(model) > _LONGEST_NAME:
        raise ValueError(
            f"{model!r} can't be a model's name: it is words of lower case letters and digits, each of which begins "
            "with a letter, with _ between them, such as iris or house_prices"
        )
    if keyword.iskeyword(model) or keyword.iskeyword(class_name(model)):
        raise ValueError(f"{model} can't be a model's name: it is a word of Python's own")
    if class_name(model) in _IMPORTED:
        raise ValueError(f"{model} can't be a model's name: its class would be {class_name(model)}, which is taken")
    service, script = Path(discovery.PACKAGE, f"{model}.py"), Path(discovery.SCRIPTS, f"{model}.py")
    if not (service.parent.is_dir() and script.parent.is_dir()):
        raise ValueError(f"there are no {discovery.PACKAGE}/ and {discovery.SCRIPTS}/ here: run this in the project")
    for path in (service, script, service.with_suffix(""), script.with_suffix("")):
        if path.exists():
            raise ValueError(f"{path} is there already")
    return service, script, script.parent / "data" / f"{model}.csv"


def _kind(data: DataSet, target: str) -> str:
    """Return the kind of model that fits the target. Ask if the target has few distinct whole numbers."""
    kind, certain = data.guess(target)
    if certain:
        return kind
    if not sys.stdin.isatty():
        print(f"{target} holds few whole numbers. If they are classes, start again with --kind classifier.")
        return kind
    answer = _ask(f"{target} holds few whole numbers: {' or '.join(KINDS)}", "--kind")
    if answer not in KINDS:
        raise ValueError(f"{answer!r} is no kind of model: it is {' or '.join(KINDS)}")
    return answer


def _unit(text: str) -> tuple[str, str]:
    name, equals, unit = text.rpartition("=")
    if not equals:
        raise ValueError(f"--unit {text}: write COLUMN=UNIT, such as --unit 'petal length=cm'")
    return name, unit


def _ask(what: str, flag: str) -> str:
    if sys.stdin.isatty():
        try:
            if answer := input(f"{what}: ").strip():
                return answer
        except EOFError:
            print()
    raise ValueError(f"{flag} is missing: {what[0].lower()}{what[1:]}")


def _write(texts: dict[Path, str], data: Path, copy: Path) -> None:
    """Write all files, or none if one can't be written."""
    written: list[Path] = []
    try:
        if not copy.exists():
            copy.parent.mkdir(exist_ok=True)
            written.append(copy)
            shutil.copyfile(data, copy)
        for path, text in texts.items():
            written.append(path)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise ValueError(f"nothing was written: {error}") from None
