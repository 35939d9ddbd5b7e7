"""LitServe as its documentation shows it."""

import os
from typing import Any

import litserve

from benchmarks.contenders.rows import WineModel


class Wines(litserve.LitAPI):
    """An API that scores the rows of one request."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        self.model = WineModel()

    def decode_request(self, request: dict[str, Any], **_: Any) -> list[list[float]]:
        rows: list[list[float]] = request["rows"]
        return rows

    def predict(self, x: list[list[float]], **_: Any) -> dict[str, list[float]]:
        return self.model(x)

    def encode_response(self, output: dict[str, list[float]], **_: Any) -> dict[str, list[float]]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Wines(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), num_api_servers=1, generate_client_file=False)
