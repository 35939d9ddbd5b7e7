"""The command line: every command, its options, and the function that carries it out.

The module of a command is imported when the command runs. So help is shown at once: BentoML alone takes two seconds.
"""

import argparse
from collections.abc import Callable
from datetime import date
from importlib import import_module
from typing import Any

from marmita import discovery

KINDS = ("classifier", "regressor")
"""The kinds of models that `marmita new` writes."""

_MOST_DAYS = 36_500
_LAST_PORT = 65_535


def parser() -> argparse.ArgumentParser:
    """Return the parser of `marmita`. The options that it reads have `run`, which carries the command out."""
    parser = argparse.ArgumentParser(prog="marmita", description="Make, serve and look after models.")
    commands = parser.add_subparsers(required=True)
    _add_making(commands)
    _add_champions(commands)
    _add_records(commands)
    _add_shepherd(commands)
    return parser


def _add_making(commands: Any) -> None:
    names = discovery.names()
    new = commands.add_parser(
        "new",
        help="write the two files of a new model, from the columns of a CSV",
        description="Write bentos/NAME.py and training/NAME.py, from the columns of a CSV. What no flag says is asked.",
    )
    new.add_argument("model", metavar="NAME", nargs="?", help="such as iris or house_prices")
    new.add_argument("--csv", help="the data set: it is copied to training/data/NAME.csv")
    new.add_argument("--target", metavar="COLUMN", help="what is predicted: text makes a classifier")
    new.add_argument("--kind", choices=KINDS, help="if the target does not say it: classes may be numbers")
    new.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out")
    new.add_argument("--unit", action="append", default=[], metavar="COLUMN=UNIT", help="the unit of a column")
    new.set_defaults(run=_late("new"))

    train = commands.add_parser("train", help="train models, and promote those that are better")
    train.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(names)}; or all")
    train.add_argument("--missing", action="store_true", help="only models that have no champion to serve")
    train.set_defaults(run=_late("train"))

    serve = commands.add_parser("serve", help="train whatever model is missing, and serve all of them")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen at: 0.0.0.0 is every one")
    serve.add_argument("--port", type=_port, default=3000)
    serve.set_defaults(run=_late("serve"))

    bento = commands.add_parser("bento", help="build the Bento with all models, or of one")
    bento.add_argument("model", nargs="?", choices=names)
    bento.set_defaults(run=_late("bento"))

    chart = commands.add_parser("chart", help="write the models into the values of the Helm chart")
    chart.set_defaults(run=_late("chart"))

    docs = commands.add_parser("docs", help="write settings, metrics, routes and scores into the pages in docs/")
    docs.add_argument("blocks", nargs="*", metavar="BLOCK", help="some of settings, metrics, routes, scores; or all")
    docs.set_defaults(run=_late("docs"))


def _add_champions(commands: Any) -> None:
    names = discovery.names()
    promote = commands.add_parser("promote", help="make a version the champion: services take it up within seconds")
    promote.add_argument("tag", help="such as wine_quality:xf2cl6wbqsz7aaav")
    promote.add_argument("--force", action="store_true", help="also a version that did not pass the gate")
    promote.set_defaults(run=_late("champions", "promote"))

    rollback = commands.add_parser("rollback", help="make the version before the champion the champion again")
    rollback.add_argument("model", choices=names)
    rollback.set_defaults(run=_late("champions", "rollback"))

    tags = commands.add_parser("tags", help="the champions' tags")
    tags.add_argument("models", nargs="*", metavar="MODEL")
    tags.set_defaults(run=_late("champions", "tags"))


def _add_records(commands: Any) -> None:
    names = discovery.names()
    prices = commands.add_parser("prices", help="the prices of stocks").add_subparsers(required=True)
    load = prices.add_parser("load", help="fetch those that are missing")
    load.add_argument("ticker")
    load.add_argument("start", type=date.fromisoformat, help="the first day, as 2012-01-03")
    load.add_argument("end", type=date.fromisoformat, help="the last day")
    load.set_defaults(run=_late("records", "load_prices"))

    quality = commands.add_parser("quality", help="how good a model was, and how far its inputs have drifted")
    quality.add_argument("model", choices=names)
    quality.add_argument("--window", help="such as 90m, 24h, 7d, instead of MARMITA_QUALITY_WINDOW")
    quality.add_argument("--history", action="store_true", help="what was measured before, the newest first")
    quality.set_defaults(run=_late("records", "quality"))

    runs = commands.add_parser("runs", help="the last training runs, and what came of them")
    runs.add_argument("model", choices=names, nargs="?")
    runs.set_defaults(run=_late("records", "training_runs"))

    database = commands.add_parser("database", help="where it is kept").add_subparsers(required=True)
    upgrade = database.add_parser("upgrade", help="make its tables, or bring them up to date")
    upgrade.set_defaults(run=_late("records", "upgrade"))
    about = "delete predictions with their labels, and measurements; decisions only if they are a year old too"
    forget = database.add_parser("forget", help=about)
    forget.add_argument("--days", type=_days, help="those that are older, instead of MARMITA_RECORD_RETENTION")
    forget.set_defaults(run=_late("records", "forget"))


def _add_shepherd(commands: Any) -> None:
    shepherd = commands.add_parser("shepherd", help="retrain models that are old or wrong too often")
    shepherd.add_argument("--once", action="store_true", help="one round, and not one after the other")
    shepherd.set_defaults(run=_late("shepherd"))
    history = shepherd.add_subparsers().add_parser("history", help="what was decided, and what came of it")
    history.add_argument("--model", choices=discovery.names())
    history.set_defaults(run=_late("shepherd", "history"))


def _late(module: str, function: str = "run") -> Callable[[argparse.Namespace], None]:
    """Return a function that imports the module of a command and calls the one that carries it out."""

    def run(options: argparse.Namespace) -> None:
        getattr(import_module(f"marmita.cli.{module}"), function)(options)

    return run


def _port(text: str) -> int:
    if not (text.isdigit() and 0 < int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_LAST_PORT}")
    return int(text)


def _days(text: str) -> int:
    if not (text.isdigit() and 0 < int(text) <= _MOST_DAYS):
        raise argparse.ArgumentTypeError("must be a number of days, from 1 on")
    return int(text)
