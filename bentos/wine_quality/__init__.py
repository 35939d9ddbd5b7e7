"""The service `bentos.wine_quality:WineQuality` and its contract.

The service is loaded when it is asked for: who wants only the contract, as training does, needs no model in the store.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "WineQuality":
        from bentos.wine_quality.service import WineQuality

        return WineQuality
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
