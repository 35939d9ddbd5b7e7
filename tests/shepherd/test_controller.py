"""A shepherd waits for its turn, and hears when it is told to end."""

import logging
import signal
from typing import Any

import pytest

from marmita.records.database.database import Database
from marmita.records.operations.leases import SHEPHERD, Claim, look
from marmita.shepherd import controller, shutdown
from marmita.shepherd.shutdown import ShutdownRequested
from tests.shepherd.conftest import WINE, Shepherd
from tests.shepherd.stand_in_shepherd import stand_in


def test_one_that_waits_asks_again_and_again_and_says_so_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    holder = Claim(database, SHEPHERD)
    assert holder.take()
    waiting: list[Claim] = []
    asked: list[Claim] = []

    class WaitingClaim(Claim):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            waiting.append(self)

        def take(self) -> bool:
            asked.append(self)
            if len(asked) == 4:
                holder.release()
            return super().take()

    def work(claim: Claim, *_: object) -> None:
        assert not claim.lost
        raise ShutdownRequested

    for name, value in (
        ("Claim", WaitingClaim),
        ("database", lambda: database),
        ("_POLL_S", 0.01),
        ("_run_cycles", work),
    ):
        monkeypatch.setattr(controller, name, value)
    with caplog.at_level(logging.INFO, "marmita"), pytest.raises(ShutdownRequested):
        controller._run_until_shutdown([WINE], stand_in)

    assert len(waiting) == 1
    assert asked == waiting * 4
    said = [line.getMessage().partition(" since ")[0] for line in caplog.records]
    assert said == [f"waiting for the lease: {holder.holder} has held it", f"took the lease as {waiting[0].holder}"]
    left = look(database, SHEPHERD)
    assert left is not None
    assert not left.holds


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_is_told_to_end_while_an_object_is_tidied_up_ends_a_moment_later(shepherd: Shepherd) -> None:
    class Object:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    shutdown.check()
    with shutdown.listening():
        one = Object()
        del one
        with pytest.raises(ShutdownRequested):
            shepherd.run()
    shutdown.check()

    assert shepherd.asked == []
