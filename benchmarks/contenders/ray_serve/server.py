"""Ray Serve as its documentation shows it: one replica behind its HTTP proxy."""

import os
import time
from typing import Any

import ray
from ray import serve

from benchmarks.contenders.rows import WineModel


class Wines:
    """A replica that scores the rows of one request."""

    def __init__(self) -> None:
        self.model = WineModel()

    async def __call__(self, request: Any) -> dict[str, list[float]]:
        return self.model((await request.json())["rows"])


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["BENCH_FOLDER"])
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    serve.run(serve.deployment(Wines).bind())
    while True:
        time.sleep(3600)
