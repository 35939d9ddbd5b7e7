"""One run of a training script, as the house remembers it."""

from collections.abc import Callable

from marmita.recording import database
from marmita.store import Packed
from records import runs


def remembered(model: str, train: Callable[[], Packed]) -> Packed:
    """Train, and remember what came of it. What goes wrong with remembering is no reason not to train."""
    run = _begun(model)
    try:
        packed = train()
    except BaseException as error:
        _ended(run, runs.FAILED, f"{type(error).__name__}: {error}".strip(": "))
        raise
    card = packed.card
    status = runs.PROMOTED if card.verdict.promoted else runs.REJECTED
    headline = card.headline
    scores = {headline.metric: headline.value, headline.baseline: headline.baseline_value}
    _ended(run, status, card.verdict.reason, packed.tag, scores)
    return packed


def _begun(model: str) -> str | None:
    try:
        return runs.begin(database(), model)
    except Exception as error:
        print(f"This run is not remembered: {error}")
        return None


def _ended(
    run: str | None, status: str, reason: str, tag: str | None = None, scores: dict[str, float] | None = None
) -> None:
    if run is None:
        return
    try:
        runs.end(database(), run, status, reason, tag, scores)
    except Exception as error:
        print(f"What came of this run is not remembered: {error}")
