"""Loading prices: what is missing, once, all or nothing."""

from datetime import UTC, date, datetime

import pytest

from marmita.records.database.database import Database
from marmita.records.predictions import labels
from marmita.records.prices import loading, prices, yahoo
from marmita.records.prices.bars import DAY, Bar
from marmita.records.prices.loading import LoadResult, load
from marmita.records.prices.prices import PricesError
from marmita.records.prices.yahoo import UnknownTickerError
from tests.records.stocks import FIRST, NOW, TICKER, Source, bar, changed, days, everything, kept, walk
from tests.training.yahoo import Yahoo, serving

BARS = walk(100)
DAYS = [one.day for one in BARS]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_BACKOFFS_S", (0.0, 0.0))


def test_prices_are_loaded_through_yfinance_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = changed(changed(BARS, 50, dividend=0.5), 60, split=2.0)
    with serving(Yahoo(bars)) as stub:
        monkeypatch.setenv(yahoo.MIRROR, f"http://{stub.address}")
        assert load(database, "test", DAYS[20], DAYS[79]) == LoadResult(60, 60, 0)
        assert kept(database) == bars[20:80]
        before = everything(database)

        assert load(database, TICKER, DAYS[20], DAYS[79]) == LoadResult(0, 60, 0)
        assert load(database, TICKER, DAYS[30], DAYS[39]) == LoadResult(0, 10, 0)
        assert stub.prices_asked == 1
        assert everything(database) == before


def test_only_what_is_missing_is_added(database: Database) -> None:
    source = Source(BARS)
    load(database, TICKER, DAYS[20], DAYS[29], source, now=NOW)
    source.bars = [one._replace(volume=77) for one in BARS]

    assert load(database, TICKER, DAYS[10], DAYS[39], source, now=NOW) == LoadResult(20, 30, 0)
    assert len(source.asked) == 2
    assert [one.volume for one in kept(database)] == [77] * 10 + [1000] * 10 + [77] * 10
    assert load(database, TICKER, DAYS[10], DAYS[39], source, now=NOW) == LoadResult(0, 30, 0)
    assert len(source.asked) == 2


def test_all_that_is_missing_comes_with_one_request(database: Database) -> None:
    source = Source(BARS)
    load(database, TICKER, DAYS[20], DAYS[29], source, now=NOW)
    load(database, TICKER, DAYS[50], DAYS[59], source, now=NOW)
    load(database, TICKER, DAYS[0], DAYS[99], source, now=NOW)

    assert len(source.asked) == 3
    assert kept(database) == BARS


def test_a_weekend_at_the_end_is_fetched_and_found_empty(database: Database) -> None:
    source = Source(BARS)
    load(database, TICKER, FIRST, FIRST + 4 * DAY, source, now=NOW)

    assert load(database, TICKER, FIRST, FIRST + 6 * DAY, source, now=NOW) == LoadResult(0, 5, 0)
    assert load(database, TICKER, FIRST, FIRST + 6 * DAY, source, now=NOW) == LoadResult(0, 5, 0)
    assert len(source.asked) == 2


def test_a_weekend_that_has_just_ended_is_fetched_and_found_empty(database: Database) -> None:
    """Before the market opens on Monday, there is no bar after it."""
    source = Source(BARS[:5])
    monday = datetime(*DAYS[5].timetuple()[:3], 12, tzinfo=UTC)
    load(database, TICKER, FIRST, FIRST + 4 * DAY, source, now=monday)

    assert load(database, TICKER, FIRST, FIRST + 6 * DAY, source, now=monday) == LoadResult(0, 5, 0)


def test_years_before_the_stock_began_are_fetched_and_found_empty(database: Database) -> None:
    source = Source(BARS)
    load(database, TICKER, FIRST, DAYS[99], source, now=NOW)

    assert load(database, TICKER, date(2010, 1, 1), DAYS[99], source, now=NOW) == LoadResult(0, 100, 0)
    load(database, TICKER, date(2015, 1, 1), DAYS[99], source, now=NOW)
    assert len(source.asked) == 2


@pytest.mark.parametrize(("hour", "last"), [(4, 50), (5, 51)])
def test_a_day_is_kept_when_new_york_has_ended_it(database: Database, hour: int, last: int) -> None:
    """Midnight in New York is five in the morning in Greenwich."""
    now = datetime(*DAYS[52].timetuple()[:3], hour, tzinfo=UTC)
    source = Source(BARS)
    load(database, TICKER, FIRST, DAYS[99], source, now=now)
    assert kept(database) == BARS[: last + 1]

    load(database, TICKER, FIRST, DAYS[99], source, now=now + 7 * DAY)
    assert kept(database) == BARS[: last + 6]
    assert len(source.asked) == 2


@pytest.mark.parametrize("first", [NOW.date(), NOW.date() + 9 * DAY])
def test_days_of_which_none_is_over_are_refused(database: Database, first: date) -> None:
    source = Source(BARS)

    with pytest.raises(ValueError, match=f"{first} .*{NOW.date() + 99 * DAY} .*: .* {NOW.date() - DAY}"):
        load(database, TICKER, first, NOW.date() + 99 * DAY, source, now=NOW)
    assert source.asked == []


def test_a_day_that_the_source_has_late_is_fetched_the_next_day(database: Database) -> None:
    """On Thursday Wednesday's bar is not there yet, though Thursday's is. On Friday it is."""
    thursday = datetime(*DAYS[53].timetuple()[:3], 15, tzinfo=UTC)
    late = Source(BARS[:52] + BARS[53:54])
    assert load(database, TICKER, FIRST, DAYS[52], late, now=thursday) == LoadResult(52, 52, 0)
    assert load(database, TICKER, FIRST, DAYS[52], late, now=thursday) == LoadResult(0, 52, 0)

    source = Source(BARS[:55])
    assert load(database, TICKER, FIRST, DAYS[53], source, now=thursday + DAY) == LoadResult(2, 54, 0)
    assert load(database, TICKER, FIRST, DAYS[53], source, now=thursday + DAY) == LoadResult(0, 54, 0)
    assert len(source.asked) == 1
    assert kept(database) == BARS[:54]


def test_no_day_after_a_late_one_is_taken_for_the_one_after_a_forecast(database: Database) -> None:
    """Only later days were asked for after it: it is missing, and not a day without trade."""
    thursday = datetime(*DAYS[53].timetuple()[:3], 15, tzinfo=UTC)
    load(database, TICKER, FIRST, DAYS[52], Source(BARS[:52]), now=thursday)
    load(database, TICKER, DAYS[53], DAYS[60], Source(BARS), now=NOW)
    with database.reading() as session:
        assert prices.future(session, TICKER, DAYS[51], 10) == ([], [])

    load(database, TICKER, FIRST, DAYS[60], Source(BARS), now=NOW)
    with database.reading() as session:
        assert prices.future(session, TICKER, DAYS[51], 10).days == DAYS[52:61]


def test_a_holiday_is_fetched_until_there_is_a_newer_day(database: Database) -> None:
    source = Source(BARS[:52] + BARS[53:])
    for number, asked in ((53, 1), (54, 2), (55, 2)):
        now = datetime(*DAYS[number].timetuple()[:3], 15, tzinfo=UTC)
        load(database, TICKER, FIRST, DAYS[52], source, now=now)
        assert len(source.asked) == asked


def test_a_stock_that_has_ended_is_not_fetched_again_and_again(database: Database) -> None:
    source = Source(BARS[:50])
    end = DAYS[49] + 90 * DAY
    for _ in range(2):
        assert load(database, TICKER, FIRST, end, source, now=NOW).days == 50
    assert len(source.asked) == 1

    for _ in range(2):
        assert load(database, TICKER, FIRST, end + 30 * DAY, source, now=NOW) == LoadResult(0, 50, 0)
    assert len(source.asked) == 2


def test_a_split_counts_from_the_day_after_whenever_the_prices_were_fetched(database: Database) -> None:
    """On its own day Yahoo has adjusted all days before it; on the next, it is one day among others."""
    monday, tuesday, wednesday, thursday = days(FIRST, 4)
    morning = datetime(*wednesday.timetuple()[:3], 15, tzinfo=UTC)
    before = [Bar(monday, 80.0, 100.0, 60.0, 90.0, 1000), Bar(tuesday, 80.0, 100.0, 60.0, 90.0, 1000)]
    after = [one.rescaled(2) for one in before] + [bar(wednesday, 45.0, split=2.0), bar(thursday, 46.0)]

    load(database, TICKER, monday, monday, Source(before), now=morning - DAY)
    load(database, TICKER, monday, thursday, Source(after[:3]), now=morning)
    assert kept(database) == before

    load(database, TICKER, monday, thursday, Source(after), now=morning + 2 * DAY)
    assert kept(database) == after


def test_a_split_between_two_fetches_is_found_wherever_the_days_are(database: Database) -> None:
    """The days before it were fetched before it, and the days that are asked for lie long after it."""
    now = datetime(*DAYS[20].timetuple()[:3], 12, tzinfo=UTC)
    load(database, TICKER, DAYS[0], DAYS[9], Source(BARS), now=now)
    later = [one.rescaled(2) for one in BARS[:50]] + changed(BARS[50:], 0, split=2.0)
    source = Source(later)

    load(database, TICKER, DAYS[80], DAYS[89], source, now=NOW)
    assert kept(database) == later[:10] + later[80:90]
    load(database, TICKER, DAYS[30], DAYS[69], source, now=NOW)
    assert kept(database) == later[:10] + later[30:70] + later[80:90]


def test_what_fails_once_is_tried_again(database: Database) -> None:
    source = Source(BARS, [PricesError("not now")])

    assert load(database, TICKER, FIRST, DAYS[99], source, now=NOW).fetched == 100
    assert len(source.asked) == 2


def test_what_fails_three_times_has_failed(database: Database) -> None:
    source = Source(BARS, [PricesError(f"not now: {number}") for number in range(9)])

    with pytest.raises(PricesError, match="not now: 2"):
        load(database, TICKER, FIRST, DAYS[99], source, now=NOW)
    assert len(source.asked) == 3
    assert everything(database) == []


def test_a_ticker_that_nobody_knows_is_asked_for_once(database: Database) -> None:
    source = Source(BARS, [UnknownTickerError("who?")])

    with pytest.raises(PricesError, match="who"):
        load(database, TICKER, FIRST, DAYS[99], source, now=NOW)
    assert len(source.asked) == 1


def test_all_tries_end_within_the_budget(database: Database) -> None:
    source = Source(BARS, [PricesError("not now")] * 9)

    with pytest.raises(PricesError):
        load(database, TICKER, FIRST, DAYS[99], source, budget_s=0.9, now=NOW)
    assert len(source.asked) == 1
    assert source.seconds[0] <= 0.9

    with pytest.raises(PricesError):
        load(database, TICKER, FIRST, DAYS[99], source, budget_s=300, now=NOW)
    assert max(source.seconds) <= 12


BROKEN = {
    "a close of nothing": changed(BARS, 50, close=0.0),
    "twice the same day": changed(BARS, 50, day=DAYS[49]),  # type: ignore[arg-type]
    "two months that are lost": BARS[:40] + BARS[80:],
    "not adjusted": [one.rescaled(0.5) for one in BARS[:50]] + changed(BARS[50:], 0, split=2.0),
    "nothing at all": [],
}


@pytest.mark.parametrize("wrong", BROKEN)
def test_what_is_wrong_leaves_everything_as_it_was(database: Database, wrong: str) -> None:
    load(database, TICKER, DAYS[0], DAYS[9], Source(BARS), now=NOW)
    before = everything(database)
    source = Source(BROKEN[wrong])

    with pytest.raises(PricesError):
        load(database, TICKER, DAYS[0], DAYS[99], source, now=NOW)
    assert everything(database) == before
    assert len(source.asked) == 1


@pytest.mark.parametrize(
    ("ticker", "first", "last", "why"),
    [
        ("MS/FT", FIRST, FIRST, "ticker .*32"),
        (TICKER, FIRST, FIRST - DAY, f"{FIRST}, .* {FIRST - DAY}"),
        (TICKER, date(1950, 1, 1), date(2020, 1, 1), "1950-01-01 .*2020-01-01 .*60"),
        (TICKER, date.min, date.min, "0001-01-01, .*1900"),
    ],
)
def test_what_can_not_be_loaded_is_refused(database: Database, ticker: str, first: date, last: date, why: str) -> None:
    source = Source(BARS)

    with pytest.raises(ValueError, match=why):
        load(database, ticker, first, last, source)
    assert source.asked == []


def test_forecasts_are_labelled_whether_prices_are_missing_or_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def label(database: Database, ticker: str, deadline: float) -> int:
        with database.reading() as session:
            return prices.count(session, ticker, date.min, date.max)

    monkeypatch.setattr(labels, "label_forecasts", label)
    source = Source(BARS)
    assert load(database, TICKER, DAYS[0], DAYS[9], source, now=NOW) == LoadResult(10, 10, 10)
    assert load(database, TICKER, DAYS[0], DAYS[9], source, now=NOW) == LoadResult(0, 10, 10)
    assert len(source.asked) == 1


def test_prices_stay_when_labelling_fails(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(database: Database, ticker: str, deadline: float) -> int:
        raise RuntimeError("no labels")

    monkeypatch.setattr(labels, "label_forecasts", fail)
    with pytest.raises(RuntimeError, match="no labels"):
        load(database, TICKER, DAYS[0], DAYS[9], Source(BARS), now=NOW)
    assert kept(database) == BARS[:10]
