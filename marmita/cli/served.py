"""The models that a command may be about: those with code, and the table models in the store."""

from marmita import discovery
from marmita.internals.bentoml import model_store_dir
from marmita.registry.tables import TableStore
from marmita.runtime.slot import ServedVersion, slot_for


def check_name(name: str) -> str:
    """Return the name of a model. Raise a ValueError if there is neither code nor a version of it."""
    if name not in discovery.names() and not (model_store_dir() / name / "latest").is_file():
        known = ", ".join([*discovery.names(), *TableStore(discovery.names()).names()])
        raise ValueError(f"there is no model {name}: there are {known}")
    return name


def served_version(name: str) -> ServedVersion:
    """Return the version of a model that a service here would serve."""
    if check_name(name) in discovery.names():
        return slot_for(discovery.runner(name)).current
    packed = TableStore(discovery.names()).champion(name)
    if packed is None:
        raise ValueError(f"{name} has no champion that can be served")
    return ServedVersion.of_table(packed)
