"""Bars from Yahoo, fetched by a process of their own through the real yfinance."""

import json
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from threading import Thread

import psutil
import pytest

from marmita.records.prices import yahoo
from marmita.records.prices.bars import Bar, PricesError
from marmita.records.prices.yahoo import UnknownTickerError, UnreachableError, fetch
from tests.records.stocks import changed, walk
from tests.training.yahoo import Yahoo, serving

BARS = changed(changed(walk(60), 20, dividend=0.25), 40, split=3.0)
FIRST, LAST = BARS[0].day, BARS[-1].day
ROOT = Path(__file__).parents[3]
PATIENCE_S = 30.0


def served(stub: Yahoo, monkeypatch: pytest.MonkeyPatch) -> Yahoo:
    monkeypatch.setenv(yahoo.MIRROR, f"http://{stub.address}")
    return stub


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def fetching() -> list[psutil.Process]:
    return [child for child in children() if "marmita.records.prices.yahoo" in child.cmdline()]


def test_bars_come_as_yahoo_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dividends and splits, and without a day more than was asked for."""
    with serving(Yahoo(BARS)) as stub:
        served(stub, monkeypatch)
        assert fetch("TEST", BARS[10].day, BARS[49].day, PATIENCE_S) == BARS[10:50]
        assert stub.prices_asked == 1


def test_the_command_prints_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Yahoo(BARS)) as stub:
        served(stub, monkeypatch)
        command = [sys.executable, "-m", "marmita.records.prices.yahoo", "TEST", str(FIRST), str(FIRST)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_S)

    day, *numbers = json.loads(done.stdout)["bars"][0]
    assert Bar(date.fromisoformat(day), *numbers) == BARS[0]


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_failure_of_yahoo_is_an_error_that_says_why(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Yahoo(BARS, status)) as stub:
        served(stub, monkeypatch)
        with pytest.raises(PricesError, match=rf"TEST .*{FIRST} .*{LAST} \(.*{status}") as raised:
            fetch("TEST", FIRST, LAST, PATIENCE_S)

    assert isinstance(raised.value, UnknownTickerError) == (status == 404)


def test_no_prices_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Yahoo([])) as stub:
        served(stub, monkeypatch)
        with pytest.raises(PricesError, match=f"TEST .*{FIRST} .*{LAST}"):
            fetch("TEST", FIRST, LAST, PATIENCE_S)


def test_nobody_at_the_address_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Yahoo(BARS)) as gone:
        served(gone, monkeypatch)
    with pytest.raises(UnreachableError, match=r"TEST: .*MARMITA_YAHOO_URL.*curl: \(7\)") as raised:
        fetch("TEST", FIRST, LAST, PATIENCE_S)
    assert str(FIRST) not in str(raised.value)


def test_without_a_network_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that all requests go through does not answer: nobody outside is asked."""
    monkeypatch.delenv(yahoo.MIRROR, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match=r"TEST: .*network"):
        fetch("TEST", FIRST, LAST, PATIENCE_S)


def test_a_yahoo_that_hangs_is_left_in_time_and_by_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serving(Yahoo(BARS)) as stub:
        served(stub, monkeypatch).answers.clear()
        started = time.monotonic()
        with pytest.raises(PricesError, match=r"TEST .*8\.0 s"):
            fetch("TEST", FIRST, LAST, 8.0)

        assert time.monotonic() - started < 10
        assert fetching() == []
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_nobody_waits_for_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Yahoo(BARS)) as stub:
        served(stub, monkeypatch).answers.clear()
        command = [sys.executable, "-m", "marmita.records.prices.yahoo", "TEST", str(FIRST), str(LAST), "2"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE_S)

    assert done.returncode < 0


def test_few_fetch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third waits for its turn, and not for ever."""
    with serving(Yahoo(BARS)) as stub:
        served(stub, monkeypatch).answers.clear()
        taken = [Thread(target=fetch, args=("TEST", FIRST, LAST, PATIENCE_S)) for _ in range(2)]
        for thread in taken:
            thread.start()
        assert stub.asked.wait(PATIENCE_S)
        with pytest.raises(PricesError, match=r"THIRD .*0\.5 s"):
            fetch("THIRD", FIRST, LAST, 0.5)
        assert not any("THIRD" in child.cmdline() for child in fetching())
        stub.answers.set()
        for thread in taken:
            thread.join()


@pytest.mark.parametrize("address", ["http://example.com", "http://127.0.0.1.example.com:80", "ftp://127.0.0.1/"])
def test_prices_do_not_come_over_the_open_net(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(yahoo.MIRROR, address)
    with pytest.raises(PricesError, match=r"MARMITA_YAHOO_URL .*https://"):
        fetch("TEST", FIRST, LAST, PATIENCE_S)


def test_the_process_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARMITA_API_KEYS", "hush")
    monkeypatch.setenv("MARMITA_DATABASE_URL", "postgresql://someone:hush@host/name")
    with serving(Yahoo(BARS)) as stub:
        served(stub, monkeypatch).answers.clear()
        thread = Thread(target=fetch, args=("TEST", FIRST, LAST, PATIENCE_S))
        thread.start()
        assert stub.asked.wait(PATIENCE_S)
        (child,) = fetching()
        environment = child.environ()
        stub.answers.set()
        thread.join()

    assert "hush" not in repr(environment)
    assert yahoo.MIRROR in environment


def test_whoever_fetches_has_neither_pandas_nor_curl(monkeypatch: pytest.MonkeyPatch) -> None:
    unwanted = {"pandas", "yfinance", "curl_cffi", "requests"}
    code = f"import sys, marmita.records.prices.loading; assert not {unwanted} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=PATIENCE_S)


def test_a_home_that_can_not_be_written_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor is anything left in it: not even root writes below a file."""
    home = tmp_path / "home"
    home.touch()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    with serving(Yahoo(BARS)) as stub:
        served(stub, monkeypatch)
        assert len(fetch("TEST", FIRST, LAST, PATIENCE_S)) == 60


def test_a_process_that_fails_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(yahoo, "_ROOT", tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(PricesError, match=r"TEST .*ModuleNotFoundError"):
        fetch("TEST", FIRST, LAST, PATIENCE_S)
    assert list(tmp_path.iterdir()) == []
