"""The parser of the command line: every command, its options, and the function that runs it.

The module of a command is imported when the command runs, so that help is fast: importing BentoML takes two seconds.
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
    """Return the parser of `marmita`. It sets the option `run` to the function that runs the command."""
    parser = argparse.ArgumentParser(prog="marmita", description="Create, train, serve and monitor models.")
    commands = parser.add_subparsers(required=True)
    _add_models(commands)
    _add_packed(commands)
    _add_champions(commands)
    _add_records(commands)
    _add_shepherd(commands)
    return parser


def _add_models(commands: Any) -> None:
    names = discovery.names()
    new = commands.add_parser(
        "new",
        help="write the two files of a new model, from the columns of a CSV",
        description="Write bentos/NAME.py and training/NAME.py, from the columns of a CSV. Ask for missing arguments.",
    )
    new.add_argument("model", metavar="NAME", nargs="?", help="the name of the model, such as iris or house_prices")
    new.add_argument("--csv", help="the data set, which is copied to training/data/NAME.csv")
    new.add_argument("--target", metavar="COLUMN", help="the column to predict: text makes a classifier")
    new.add_argument("--kind", choices=KINDS, help="the kind of model, for a target whose numbers may be classes")
    new.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out")
    new.add_argument("--unit", action="append", default=[], metavar="COLUMN=UNIT", help="the unit of a column")
    new.set_defaults(run=_lazy("new"))

    train = commands.add_parser("train", help="train models, and promote those that pass the gate")
    train.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(names)}; all by default")
    train.add_argument("--missing", action="store_true", help="train only models without a champion that can be served")
    train.set_defaults(run=_lazy("train"))

    serve = commands.add_parser("serve", help="train the models without a champion, and serve all models")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on: 0.0.0.0 for all addresses")
    serve.add_argument("--port", type=_port, default=3000, help="the port to listen on")
    serve.add_argument("--no-trainer", action="store_true", help="start no trainer beside the service")
    serve.set_defaults(run=_lazy("serve"))

    bento = commands.add_parser("bento", help="build the Bento of all models with code, or of one model")
    bento.add_argument("model", nargs="?", help="a model with code, or a table model in the store")
    bento.add_argument("--tables", nargs="+", metavar="MODEL", help="table models to add to the models with code")
    bento.set_defaults(run=_lazy("bento"))

    chart = commands.add_parser("chart", help="write the models into the values of the Helm chart")
    chart.set_defaults(run=_lazy("chart"))

    docs = commands.add_parser(
        "docs", help="write settings, metrics, routes, reasons and scores into the pages in docs/"
    )
    docs.add_argument(
        "blocks", nargs="*", metavar="BLOCK", help="some of settings, metrics, routes, reasons, scores; all by default"
    )
    docs.set_defaults(run=_lazy("docs"))


def _add_packed(commands: Any) -> None:
    pack = commands.add_parser(
        "pack",
        help="pack an estimator of scikit-learn from a file, and promote it if it passes the gate",
        description="Pack an estimator that joblib or pickle saved. Only load files that you trust: they may run code.",
    )
    pack.add_argument("file", metavar="MODEL.joblib", help="the file with the estimator, fitted or not")
    pack.add_argument("--data", required=True, metavar="CSV", help="the rows to learn from")
    pack.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    pack.add_argument("--name", required=True, help="the name to serve it by, such as churn")
    about = "rows to score it on: a fitted estimator is then packed as it is. Default: a fifth of the data"
    pack.add_argument("--holdout", metavar="CSV", help=about)
    pack.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column to leave out")
    pack.add_argument("--delimiter", default=",", help="the delimiter of the CSV: a comma by default")
    pack.add_argument("--seed", type=int, help="the same seed gives the same model")
    for name, what in (
        ("about", "what it predicts"),
        ("source", "where its data comes from"),
        ("licence", "of the data"),
    ):
        pack.add_argument(f"--{name}", default="", metavar="TEXT", help=f"for the card: {what}")
    pack.set_defaults(run=_lazy("pack"))

    models = commands.add_parser("models", help="list the models in the store, with their champions and scores")
    models.set_defaults(run=_lazy("models"))
    show = models.add_subparsers().add_parser("show", help="print the card of a model's champion, or of a version")
    show.add_argument("model", metavar="MODEL", help="such as churn, or churn:xf2cl6wbqsz7aaav")
    show.set_defaults(run=_lazy("models", "show"))


def _add_champions(commands: Any) -> None:
    about = _about_model()
    promote = commands.add_parser("promote", help="make a version the champion: services load it within seconds")
    promote.add_argument("tag", help="the version, such as wine_quality:xf2cl6wbqsz7aaav")
    promote.add_argument("--force", action="store_true", help="promote a version that did not pass the gate")
    promote.set_defaults(run=_lazy("champions", "promote"))

    rollback = commands.add_parser("rollback", help="make the previous champion the champion again")
    rollback.add_argument("model", metavar="MODEL", help=about)
    rollback.set_defaults(run=_lazy("champions", "rollback"))

    tags = commands.add_parser("tags", help="print the champions' tags")
    tags.add_argument("models", nargs="*", metavar="MODEL", help="the models; all by default")
    tags.set_defaults(run=_lazy("champions", "tags"))


def _add_records(commands: Any) -> None:
    about = _about_model()
    prices = commands.add_parser("prices", help="load stock prices").add_subparsers(required=True)
    load = prices.add_parser("load", help="load the missing prices of a stock from Yahoo Finance")
    load.add_argument("ticker", help="the stock, such as MSFT")
    load.add_argument("start", type=date.fromisoformat, help="the first day, such as 2012-01-03")
    load.add_argument("end", type=date.fromisoformat, help="the last day")
    load.set_defaults(run=_lazy("records", "load_prices"))

    quality = commands.add_parser("quality", help="measure a model's error on labelled rows, and its drift")
    quality.add_argument("model", metavar="MODEL", help=about)
    quality.add_argument("--window", help="such as 90m, 24h, 7d, instead of MARMITA_QUALITY_WINDOW")
    quality.add_argument("--history", action="store_true", help="print past measurements instead, newest first")
    quality.set_defaults(run=_lazy("records", "quality"))

    runs = commands.add_parser("runs", help="print the latest training runs with their outcomes")
    runs.add_argument("model", metavar="MODEL", nargs="?", help=about)
    runs.set_defaults(run=_lazy("records", "training_runs"))

    database = commands.add_parser("database", help="upgrade or clean the database").add_subparsers(required=True)
    upgrade = database.add_parser("upgrade", help="create the tables, or migrate them to this version")
    upgrade.set_defaults(run=_lazy("records", "upgrade"))
    about = "delete old predictions with their labels, and old measurements; keep decisions for at least a year"
    forget = database.add_parser("forget", help=about)
    forget.add_argument("--days", type=_days, help="the age in days, instead of MARMITA_RECORD_RETENTION")
    forget.set_defaults(run=_lazy("records", "forget"))


def _add_shepherd(commands: Any) -> None:
    about = "run the retraining controller: it retrains models that are stale, drift or err"
    shepherd = commands.add_parser("shepherd", help=about)
    shepherd.add_argument("--once", action="store_true", help="run one cycle, then exit")
    shepherd.set_defaults(run=_lazy("shepherd"))
    trainer = commands.add_parser("trainer", help="run the trainings that were ordered over HTTP")
    trainer.add_argument("--once", action="store_true", help="run the trainings that wait, then exit")
    trainer.set_defaults(run=_lazy("trainer"))
    history = shepherd.add_subparsers().add_parser("history", help="print the latest decisions with their outcomes")
    history.add_argument("--model", metavar="MODEL", help=_about_model())
    history.set_defaults(run=_lazy("shepherd", "history"))


def _about_model() -> str:
    return f"one of {', '.join(discovery.names())}, or a table model in the store"


def _lazy(module: str, function: str = "run") -> Callable[[argparse.Namespace], None]:
    """Return a function that imports a command's module and calls its function."""

    def run(options: argparse.Namespace) -> None:
        getattr(import_module(f"marmita.cli.{module}"), function)(options)

    return run


def _port(text: str) -> int:
    if not (text.isdigit() and 0 < int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_LAST_PORT}")
    return int(text)


def _days(text: str) -> int:
    if not (text.isdigit() and 0 < int(text) <= _MOST_DAYS):
        raise argparse.ArgumentTypeError(f"must be a number of days from 1 to {_MOST_DAYS}")
    return int(text)
