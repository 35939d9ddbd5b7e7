"""A process that records one prediction after another, and says at once which: `URL HOW_MANY PAUSE`."""

import sys
import time

import numpy as np

from marmita.records.database.database import Database
from marmita.records.predictions.bundles import PredictionRequest
from marmita.records.predictions.recorder import Recorder
from tests.records.witness import Witness

if __name__ == "__main__":
    url, how_many, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    database, witness = Database(url), Witness()
    recorder = Recorder(database, witness, sample_rate=1, most_bytes=32_000_000)
    database.upgrade()
    row = np.arange(11, dtype=np.float32)[None]
    for _ in range(how_many):
        kept = recorder.record("wine_quality", "v1", PredictionRequest(None, row, row[:, :1], 0.001))
        print(time.monotonic(), kept and f"{kept[0]}-{kept[1]}", flush=True)  # noqa: T201
        time.sleep(pause_s)
    recorder.close()
    print(witness.written, sum(witness.lost.values()), flush=True)  # noqa: T201
