"""Loading prices while others do the same, or until somebody ends it by force."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from threading import Barrier, Event, Thread

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from marmita.records.database.database import Database
from marmita.records.database.tables import PriceRange
from marmita.records.prices import prices
from marmita.records.prices.bars import Bar, Span
from marmita.records.prices.loading import LoadResult, load
from tests.records.stocks import NOW, TICKER, Source, everything, kept, walk

BARS = walk(100)
DAYS = [one.day for one in BARS]
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("second", [(0, 99), (50, 99), (40, 59)])
def test_two_that_load_at_once_end_with_the_same_rows(
    database: Database, database_url: str, second: tuple[int, int]
) -> None:
    """Both have fetched before either writes."""
    load(database, TICKER, DAYS[30], DAYS[31], Source(BARS), now=NOW)
    together = Barrier(2)
    failed: list[Exception] = []

    def fetch(ticker: str, first: date, last: date, timeout_s: float) -> list[Bar]:
        together.wait(20)
        return BARS

    def run(first: date, last: date) -> None:
        mine = Database(database_url)
        try:
            load(mine, TICKER, first, last, fetch, now=NOW)
        except Exception as error:
            failed.append(error)
        finally:
            mine.close()

    spans = [(DAYS[0], DAYS[59]), (DAYS[second[0]], DAYS[second[1]])]
    threads = [Thread(target=run, args=span) for span in spans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failed == []
    assert kept(database) == BARS[: max(59, second[1]) + 1]
    load(database, TICKER, DAYS[0], DAYS[max(59, second[1])], not_called, now=NOW)


def test_two_that_load_side_by_side_make_one_range(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one stops before all it has written counts, for as long as the second one could overtake it."""
    database.upgrade()
    written, overtaken = Event(), Event()

    keep = prices.keep

    def hold(session: Session, ticker: str, bars: Sequence[Bar], spans: Iterable[Span], now: datetime) -> None:
        keep(session, ticker, bars, spans, now)
        written.set()
        overtaken.wait(1)

    monkeypatch.setattr(prices, "keep", hold)
    first = Thread(target=load, args=(database, TICKER, DAYS[0], DAYS[50], Source(BARS)))
    first.start()
    assert written.wait(20)
    monkeypatch.setattr(prices, "keep", keep)
    mine = Database(database_url)
    load(mine, TICKER, DAYS[51], DAYS[99], Source(BARS))
    mine.close()
    overtaken.set()
    first.join()

    with database.reading() as session:
        ranges = session.execute(select(PriceRange.first_day, PriceRange.last_day)).all()
    assert [tuple(one) for one in ranges] == [(DAYS[0], DAYS[99])]
    assert kept(database) == BARS


def not_called(ticker: str, first: date, last: date, timeout_s: float) -> list[Bar]:
    raise AssertionError("nothing is missing")


KILLED = """
import sys
from marmita.records.prices import loading, prices
from marmita.records.database.database import Database
from tests.records.stocks import NOW, TICKER, walk

BARS = walk(100)

def wait(*_):
    print("here", flush=True)
    sys.stdin.read()

def fetch(*_):
    if sys.argv[2] == "fetched":
        wait()
    return BARS

keep = prices.keep
prices.keep = lambda *what: (keep(*what), wait())
loading.load(Database(sys.argv[1]), TICKER, BARS[0].day, BARS[99].day, fetch, now=NOW)
"""


@pytest.mark.parametrize("moment", ["fetched", "written"])
def test_who_is_killed_leaves_nothing_half(database: Database, moment: str, database_url: str) -> None:
    """Once before anything is written, once right before all of it counts."""
    load(database, TICKER, DAYS[30], DAYS[39], Source(BARS), now=NOW)
    before = everything(database)
    command = [sys.executable, "-c", KILLED, database_url, moment]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        os.kill(process.pid, signal.SIGKILL)

    assert everything(database) == before
    assert load(database, TICKER, DAYS[0], DAYS[99], Source(BARS), now=NOW) == LoadResult(90, 100, 0)
