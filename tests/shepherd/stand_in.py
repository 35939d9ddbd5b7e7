"""Stands in for a training script: `python -m tests.shepherd.stand_in MODEL [ARGUMENTS] --run ID`.

It packs a model that is there already once more, in no time, and does all the rest as a training script does. What it
is to do stands in the environment: STAND_IN_DOES (`promote`, `reject`, either of them `and fail`, `fail`, or `hang`),
STAND_IN_FROM (the folder of a packed model), and STAND_IN_HOLDS, a file for each stage at which it is to wait until
that file is gone.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bentoml.models import ModelContext

from marmita.records.database.tables import TrainingRun
from marmita.records.operations import training_runs
from marmita.registry import packed_model
from marmita.registry.card import Card, GateVerdict
from marmita.registry.champions import promote
from marmita.registry.packed_model import PackedModel
from marmita.runtime.recording import database

STARTED, BEGUN, PACKING, PROMOTED = STAGES = ("started", "begun", "packing", "promoted")


def hold(stage: str) -> None:
    """Say that this stage is reached, and wait if it is to be held."""
    folder = Path(os.environ.get("STAND_IN_HOLDS", "/nowhere"))
    if (folder / stage).exists():
        (folder / f"{stage}-reached").write_text(str(os.getpid()))
        while (folder / stage).exists():
            time.sleep(0.02)


def pack(name: str, promoted: bool) -> PackedModel:
    """The model once more, as if it had just been made."""
    folder = Path(os.environ["STAND_IN_FROM"])
    verdict = GateVerdict(promoted=promoted, reason="it is better" if promoted else "it is worse")
    card = Card.model_validate_json((folder / "card.json").read_text())

    def native(target: Path) -> None:
        (target / "saved_model.pkl").write_bytes(b"")
        hold(PACKING)

    return packed_model.save(
        name,
        native=native,
        module="",
        context=ModelContext(framework_name="none", framework_versions={}),
        compiled=(folder / packed_model.COMPILED).read_bytes(),
        contract=json.loads((folder / "contract.json").read_text()),
        card=card.model_copy(update={"made": datetime.now(UTC), "verdict": verdict}),
        reference=json.loads((folder / "reference.json").read_text()),
        labels={},
    )


def main(model: str, arguments: Sequence[str]) -> None:
    does = os.environ["STAND_IN_DOES"]
    hold(STARTED)
    print(f"training {model} {' '.join(arguments)}", flush=True)  # noqa: T201
    if does == "fail":
        sys.exit("Traceback (most recent call last):\nthe training data is gone")
    id, now = arguments[arguments.index("--run") + 1], datetime.now(UTC)
    with database().writing() as session:
        session.add(
            TrainingRun(
                id=id,
                model=model,
                status=training_runs.RUNNING,
                reason="",
                tag=None,
                started_at=now,
                ended_at=None,
                scores={},
            )
        )
    hold(BEGUN)
    if does == "hang":
        time.sleep(600)
    packed = pack(model, does.startswith("promote"))
    if packed.card.verdict.promoted:
        promote(packed)
        hold(PROMOTED)
    verdict = packed.card.verdict
    training_runs.end(
        database(),
        id,
        training_runs.PROMOTED if verdict.promoted else training_runs.REJECTED,
        verdict.reason,
        packed.tag,
    )
    if does.endswith("and fail"):
        sys.exit("MLflow is gone")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
