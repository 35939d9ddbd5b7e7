"""Who becomes the champion: only a model that beats its baselines and is no worse than the champion of today."""

from marmita.registry.card import GateVerdict, Headline


def verdict(headline: Headline, champion: tuple[str, float] | None, flaw: str | None = None) -> GateVerdict:
    """Judge a model.

    `champion` is today's champion's tag and its score on the same held-out rows. `flaw` names what disqualifies the
    model whatever its score.
    """
    score = f"{headline.metric} {headline.value:.4f}"
    against_baseline = f"{score} against {headline.baseline_value:.4f} of the best baseline, {headline.baseline}"
    if headline.tolerance:
        against_baseline += f", which it may miss by {headline.tolerance:.0%}"
    if flaw is not None:
        return GateVerdict(promoted=False, reason=flaw)
    if not headline.beats_baseline():
        return GateVerdict(promoted=False, reason=f"it does not beat its baselines: {against_baseline}")
    if champion is not None and headline.better(champion[1], headline.value):
        reason = f"it is worse than the champion {champion[0]}: {score} against {champion[1]:.4f}"
        return GateVerdict(promoted=False, reason=reason)
    beaten = f", and {champion[1]:.4f} of the champion {champion[0]}" if champion else ""
    return GateVerdict(promoted=True, reason=against_baseline + beaten)
