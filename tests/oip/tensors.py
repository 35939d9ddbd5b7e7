"""A small model's signature, and requests to it."""

import json
from typing import Any

from marmita.contract.rows import Floats
from marmita.oip.codec import InferenceRequest, write
from marmita.runtime.signature import Signature, ValueBounds

ANYTHING = ValueBounds([{"name": name, "low": None, "high": None} for name in ("x", "y", "z")])
SIGNATURE = Signature("trees", "v1", "features", 3, {"middle": 1, "ends": 2}, ANYTHING)
VALUES = [1.5, -2.0, 0.25]
BINARY = {"parameters": {"binary_data": True}}


def request(*, top: dict[str, Any] | None = None, **tensor: Any) -> bytes:
    """A good request for one row, but for what is given. What is `...` is left out."""
    whole = {"name": "features", "shape": [1, 3], "datatype": "FP32", "data": VALUES} | tensor
    inputs = [{name: value for name, value in whole.items() if value is not ...}]
    return json.dumps({"inputs": inputs} | (top or {})).encode()


def with_bytes(content: bytes, **tensor: Any) -> tuple[bytes, int]:
    """A good request whose values are plain bytes behind the JSON."""
    head = request(data=..., **({"parameters": {"binary_data_size": len(content)}} | tensor))
    return head + content, len(head)


def answered(asked: InferenceRequest, outputs: Floats) -> tuple[dict[str, Any], bytes]:
    """An answer's JSON and the bytes behind it."""
    body, json_size = write(asked, outputs, SIGNATURE)
    return json.loads(body[:json_size]), b"" if json_size is None else body[json_size:]
