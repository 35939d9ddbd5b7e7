"""The service `bentos.fetal_health:FetalHealth` and its contract.

The service is loaded when it is asked for: who wants only the contract, as training does, needs no model in the store.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "FetalHealth":
        from bentos.fetal_health.service import FetalHealth

        return FetalHealth
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
