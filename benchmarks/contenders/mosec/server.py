"""mosec as its documentation shows it: JSON in and out, batches of up to 64 callers."""

from typing import Any

from mosec import Server, Worker

from benchmarks.contenders.rows import OUTPUTS, WineModel

MAX_BATCH = 64
MAX_WAIT_MS = 2
"""mosec's default is 10 ms, for which a single caller would wait at every request."""


class Wines(Worker):
    """A worker that scores the rows of all callers in a batch together."""

    def __init__(self) -> None:
        super().__init__()
        self.model = WineModel()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, list[float]]]:
        outputs = self.model([row for one in data for row in one["rows"]])
        answers = []
        start = 0
        for one in data:
            end = start + len(one["rows"])
            answers.append({name: outputs[name][start:end] for name in OUTPUTS})
            start = end
        return answers


if __name__ == "__main__":
    server = Server()
    server.append_worker(Wines, num=1, max_batch_size=MAX_BATCH, max_wait_time=MAX_WAIT_MS)
    server.run()
