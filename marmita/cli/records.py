"""`marmita prices`, `quality`, `runs` and `database`: commands about the records."""

import argparse
import json
from datetime import UTC, datetime, timedelta

from marmita.cli.served import check_name, served_version
from marmita.records.operations import training_runs as runs
from marmita.records.predictions import retention
from marmita.records.prices import loading
from marmita.records.quality import quality as measurements
from marmita.registry import startup
from marmita.runtime.recording import database
from marmita.settings import duration, settings


def load_prices(options: argparse.Namespace) -> None:
    loaded = loading.load(database(), options.ticker, options.start, options.end)
    print(
        f"{options.ticker}: fetched {loaded.fetched} days, {loaded.days} stored from {options.start} to {options.end}, "
        f"labelled {loaded.labelled} steps of forecasts"
    )


def quality(options: argparse.Namespace) -> None:
    if options.history:
        print(json.dumps(measurements.history(database(), check_name(options.model), most=100), indent=2))
        return
    window = _window(options.window) if options.window else settings().quality_window
    startup.use_bento_models()
    print(json.dumps(served_version(options.model).measure(database(), window).as_dict(), indent=2))


def training_runs(options: argparse.Namespace) -> None:
    for run in runs.latest(database(), options.model and check_name(options.model)):
        took = f"{(run.ended_at - run.started_at).total_seconds():.0f} s" if run.ended_at else "until now"
        print(f"{run.started_at:%Y-%m-%d %H:%M:%S}  {run.model}  {run.status}  {took}  {run.tag or '-'}  {run.reason}")


def upgrade(_: argparse.Namespace) -> None:
    database().upgrade()
    print(f"{database()} is up to date")


def forget(options: argparse.Namespace) -> None:
    age = timedelta(days=options.days) if options.days else settings().record_retention
    count = retention.delete_old(database(), datetime.now(UTC) - age)
    print(f"deleted the predictions of {count} requests")


def _window(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise ValueError(f"--window {text}: {error}") from None
