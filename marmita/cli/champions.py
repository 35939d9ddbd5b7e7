"""`marmita promote`, `rollback` and `tags`: set and show the champions."""

import argparse

from bentoml.exceptions import BentoMLException

from marmita import discovery
from marmita.records.operations import decisions
from marmita.records.operations.reasons import Reason, ReasonCode
from marmita.registry import champions, packed_model, tracking
from marmita.registry.fitness import check_servable
from marmita.registry.packed_model import PackedModel
from marmita.runtime.recording import database


def promote(options: argparse.Namespace) -> None:
    name, _, version = options.tag.partition(":")
    if version in ("", "latest"):
        raise ValueError(f"{options.tag} does not say which version: {_describe_passed(name)}")
    packed = packed_model.get(options.tag)
    _check(packed)
    verdict = packed.card.verdict
    if verdict.promoted:
        champions.promote(packed)
    elif options.force:
        _promote_past_gate(packed, verdict.reason)
    else:
        raise ValueError(f"{packed.tag} did not pass the gate: {verdict.reason}. --force promotes it all the same")
    print(f"{packed.tag} is the champion")
    _update_mlflow(packed)


def rollback(options: argparse.Namespace) -> None:
    packed = champions.roll_back(options.model, _check)
    print(f"{packed.tag} is the champion again")
    _update_mlflow(packed)


def tags(options: argparse.Namespace) -> None:
    found = (champions.champion(name) for name in options.models or discovery.names())
    print(" ".join(model.tag for model in found if model))


def _promote_past_gate(packed: PackedModel, reason: str) -> None:
    """Promote a version that the gate rejected, and record it beside the shepherd's decisions."""
    why = Reason(ReasonCode.FORCED, f"forced by hand, past the gate: {reason}")
    decision = decisions.begin(database(), packed.name, decisions.PROMOTE, [why], {})
    try:
        champions.promote(packed)
    except Exception as error:
        decisions.end(database(), decision, decisions.FAILED, str(error), packed.tag)
        raise
    decisions.end(database(), decision, decisions.PROMOTED, why.text, packed.tag)


def _describe_passed(name: str) -> str:
    """Describe the versions of a model that passed the gate, as part of an error."""
    passed = [model for model in packed_model.versions(name) if _passed(model)]
    if not passed:
        return f"the store has no version of {name} that passed the gate"
    return f"those that passed the gate are, newest first, {', '.join(map(_describe, passed))}"


def _passed(packed: PackedModel) -> bool:
    try:
        return packed.card.verdict.promoted
    except BentoMLException:  # a version without a readable card can't be promoted either
        return False


def _describe(packed: PackedModel) -> str:
    headline = packed.card.headline
    return f"{packed.tag} ({headline.metric} {headline.value:.4f})"


def _check(packed: PackedModel) -> None:
    """Raise unless this code can serve a version: a service would fail to start with it."""
    if packed.name in discovery.names():
        check_servable(packed, discovery.runner(packed.name).contract)
    else:
        packed.check()


def _update_mlflow(champion: PackedModel) -> None:
    if message := tracking.name_champion(champion.tag):
        print(message)
