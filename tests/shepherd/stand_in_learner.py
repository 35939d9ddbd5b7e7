"""A stand-in for the process of a training: `python -m tests.shepherd.stand_in_learner TRAINING RUN`.

It packs a small table in no time. STAND_IN_DOES says what else it is to do: `learn`, `learn and crash`, `fail`,
`crash`, `hang`, `hog` memory, or `miss` the database. STAND_IN_HOLDS has a file for each stage at which it waits.
"""

import os
import sys
import time

from marmita.records.database.tables import Training
from marmita.records.operations import training_runs, trainings
from marmita.runtime.recording import database
from marmita.training import messages
from tests.packed_tables import CLASSES, NUMBERS, pack_table
from tests.shepherd.stand_in import hold

STARTED, LEARNING, PACKED = STAGES = ("started", "learning", "packed")
ERROR = {"code": "target_not_found", "message": "there is no column left", "column": "left", "row": None, "value": None}


def command(training: Training) -> list[str]:
    return [sys.executable, "-m", "tests.shepherd.stand_in_learner", training.id, str(training.run)]


def main(id: str, run: str) -> int:
    does = os.environ.get("STAND_IN_DOES", "learn")
    if does == "miss":
        return messages.TRY_AGAIN
    training = trainings.get(database(), id)
    assert training is not None
    hold(STARTED)
    training_runs.begin(database(), training.name, run)
    print("reading the file")  # noqa: T201
    for done in (0.1, 0.5):
        messages.send(messages.PROGRESS, {"step": "fitting", "done": done, "seconds_left": 2.0})
    hold(LEARNING)
    if does == "crash":
        raise RuntimeError("the learner is broken")
    if does == "fail":
        messages.send(messages.ERROR, ERROR)
        return 1
    if does in ("hang", "hog"):
        hoard = b"x" * (400 * 2**20) if does == "hog" else b""
        time.sleep(600 + len(hoard) % 1)
    classes = CLASSES if training.order.get("task") == "classification" else ()
    packed = pack_table(training.name, NUMBERS, classes)
    hold(PACKED)
    messages.send(messages.RESULT, {"tag": packed.tag})
    return 1 if does == "learn and crash" else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
