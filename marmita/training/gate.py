"""The promotion gate: a candidate must beat its baselines, and be no worse than the current champion."""

from marmita.registry.card import GateVerdict, Headline, distinct_figures


def verdict(
    headline: Headline, champion: tuple[str, float] | None, flaw: str | None = None, not_compared: str | None = None
) -> GateVerdict:
    """Return whether a candidate is promoted, and why.

    `champion` is the current champion's tag, and its score on the candidate's held-out rows. `flaw` is a reason to
    reject the candidate whatever its score. `not_compared` is why there is no score of the current champion.
    """
    if flaw is not None:
        return GateVerdict(promoted=False, reason=flaw)
    if not headline.beats_baseline():
        return GateVerdict(promoted=False, reason=f"it does not beat its baselines: {_against_baseline(headline)}")
    if champion is None:
        remark = f"; the champion is not compared: {not_compared}" if not_compared else ""
        return GateVerdict(promoted=True, reason=f"{_against_baseline(headline)}{remark}")
    tag, others = champion
    if headline.better(others, headline.value):
        mine, theirs = distinct_figures(headline.value, others)
        reason = f"it is worse than the champion {tag}: {headline.metric} {mine} against {theirs}"
        return GateVerdict(promoted=False, reason=reason)
    beaten = distinct_figures(headline.value, headline.baseline_value, others)[-1]
    return GateVerdict(
        promoted=True, reason=f"{_against_baseline(headline, others)}, and {beaten} of the champion {tag}"
    )


def _against_baseline(headline: Headline, *others: float) -> str:
    """Return the score beside the best baseline's. Round all figures so that they differ from `others`."""
    mine, baselines, *_ = distinct_figures(headline.value, headline.baseline_value, *others)
    missed = f", which it may miss by {headline.tolerance:.0%}" if headline.tolerance else ""
    return f"{headline.metric} {mine} against {baselines} of the best baseline, {headline.baseline}{missed}"
