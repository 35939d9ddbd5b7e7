"""Make, serve and look after models."""

import argparse
import json
import sys
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from bentoml.exceptions import BentoMLException

from marmita import discovery
from marmita.cli import bento, chart, docs, new, train
from marmita.discovery import DiscoveryError
from marmita.records.database.database import DatabaseDownError
from marmita.records.operations import decisions, training_runs
from marmita.records.predictions import retention
from marmita.records.prices import loading
from marmita.records.prices.prices import PricesError
from marmita.records.quality import quality
from marmita.registry import champions, packed_model, startup, tracking
from marmita.registry.fitness import check_servable
from marmita.registry.packed_model import PackedModel
from marmita.runtime.recording import database
from marmita.runtime.slot import slot_for
from marmita.settings import duration, settings


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))  # the installed command has its own folder there
    try:
        options = _options()
        options.run(options)
    except (BentoMLException, DatabaseDownError, DiscoveryError, PricesError, ValueError) as error:
        sys.exit(f"error: {error}")


def _load_prices(options: argparse.Namespace) -> None:
    loaded = loading.load(database(), options.ticker, options.start, options.end)
    print(
        f"{options.ticker}: {loaded.fetched} days fetched, {loaded.days} there from {options.start} to {options.end}, "
        f"{loaded.labelled} steps of forecasts labelled"
    )


def _quality(options: argparse.Namespace) -> None:
    if options.history:
        print(json.dumps(quality.history(database(), options.model, most=100), indent=2))
        return
    startup.find_those_of_the_bento()
    print(json.dumps(slot_for(discovery.runner(options.model)).measure(database(), options.window).as_dict(), indent=2))


def _promote(options: argparse.Namespace) -> None:
    packed = packed_model.get(options.tag)
    _check(packed)
    champions.promote(packed)
    print(f"{packed.tag} is the champion")
    _tell(packed)


def _rollback(options: argparse.Namespace) -> None:
    packed = champions.roll_back(options.model, _check)
    print(f"{packed.tag} is the champion again")
    _tell(packed)


def _check(packed: PackedModel) -> None:
    """Raise unless this code can serve a version: a service that starts with another one would end at once."""
    if packed.name in discovery.names():
        check_servable(packed, discovery.runner(packed.name).contract)
    else:
        packed.check()


def _tell(champion: PackedModel) -> None:
    if said := tracking.name_champion(champion.tag):
        print(said)


def _tags(options: argparse.Namespace) -> None:
    found = (champions.champion(name) for name in options.models or discovery.names())
    print(" ".join(model.tag for model in found if model))


def _runs(options: argparse.Namespace) -> None:
    for run in training_runs.latest(database(), options.model):
        took = f"{(run.ended_at - run.started_at).total_seconds():.0f} s" if run.ended_at else "until now"
        print(f"{run.started_at:%Y-%m-%d %H:%M:%S}  {run.model}  {run.status}  {took}  {run.tag or '-'}  {run.reason}")


def _shepherd(options: argparse.Namespace) -> None:
    if not all(find_spec(package) for package in ("marmita.shepherd", discovery.SCRIPTS)):
        raise ValueError("the shepherd is not installed in this image: use the shepherd image (make shepherd-image)")
    from marmita.shepherd import controller  # an image that serves has no shepherd

    sys.exit(controller.run(discovery.names(), options.once))


def _decisions(options: argparse.Namespace) -> None:
    columns = "{:<19}  {:<14}  {:<7}  {:<11}  {}"
    print(columns.format("time (UTC)", "model", "action", "outcome", "reasons"))
    for one in decisions.latest(database(), options.model, most=100):
        reasons = "; ".join(one.reasons)
        print(columns.format(f"{one.at:%Y-%m-%d %H:%M:%S}", one.model, one.action, one.outcome or "under way", reasons))


def _upgrade(_: argparse.Namespace) -> None:
    database().upgrade()
    print(f"{database()} is up to date")


def _forget(options: argparse.Namespace) -> None:
    age = timedelta(days=options.days) if options.days else settings().record_retention
    count = retention.delete_old(database(), datetime.now(UTC) - age)
    print(f"{count} requests forgotten")


def _window(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _days(text: str) -> int:
    if not (text.isdigit() and 0 < int(text) <= 36_500):
        raise argparse.ArgumentTypeError("must be a number of days, from 1 on")
    return int(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="marmita", description=__doc__)
    commands = parser.add_subparsers(required=True)

    new.add(commands)
    train.add(commands)
    bento.add(commands)
    chart.add(commands)
    docs.add(commands)
    prices = commands.add_parser("prices", help="the prices of stocks").add_subparsers(required=True)
    load = prices.add_parser("load", help="fetch those that are missing")
    load.add_argument("ticker")
    load.add_argument("start", type=date.fromisoformat, help="the first day, as 2012-01-03")
    load.add_argument("end", type=date.fromisoformat, help="the last day")
    load.set_defaults(run=_load_prices)

    figures = commands.add_parser("quality", help="how good a model was, and how far its inputs have drifted")
    figures.add_argument("model", choices=discovery.names())
    figures.add_argument("--window", type=_window, default=settings().quality_window, help="such as 30s, 90m, 24h, 7d")
    figures.add_argument("--history", action="store_true", help="what was measured before, the newest first")
    figures.set_defaults(run=_quality)

    history = commands.add_parser("runs", help="the last training runs, and what came of them")
    history.add_argument("model", choices=discovery.names(), nargs="?")
    history.set_defaults(run=_runs)

    promote = commands.add_parser("promote", help="make a version the champion: services take it up within seconds")
    promote.add_argument("tag", help="such as wine_quality:xf2cl6wbqsz7aaav")
    promote.set_defaults(run=_promote)
    rollback = commands.add_parser("rollback", help="make the version before the champion the champion again")
    rollback.add_argument("model", choices=discovery.names())
    rollback.set_defaults(run=_rollback)

    tags = commands.add_parser("tags", help="the champions' tags")
    tags.add_argument("models", nargs="*", metavar="MODEL")
    tags.set_defaults(run=_tags)

    shepherd = commands.add_parser("shepherd", help="retrain models that are old or wrong too often")
    shepherd.add_argument("--once", action="store_true", help="one round, and not one after the other")
    shepherd.set_defaults(run=_shepherd)
    past = shepherd.add_subparsers().add_parser("history", help="what was decided, and what came of it")
    past.add_argument("--model", choices=discovery.names())
    past.set_defaults(run=_decisions)

    records = commands.add_parser("database", help="where it is kept").add_subparsers(required=True)
    records.add_parser("upgrade", help="make its tables, or bring them up to date").set_defaults(run=_upgrade)
    about = "delete predictions with their labels, and measurements; decisions only if they are a year old too"
    forget = records.add_parser("forget", help=about)
    forget.add_argument(
        "--days", type=_days, help="those that are older than this, instead of MARMITA_RECORD_RETENTION"
    )
    forget.set_defaults(run=_forget)
    return parser.parse_args()


if __name__ == "__main__":
    main()
