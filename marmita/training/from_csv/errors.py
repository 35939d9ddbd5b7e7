"""The error of a training from a CSV: why there can be no model, and where in the file the cause is."""

from marmita.contract.cells import shown
from marmita.contract.training_order import TrainingErrorCode
from marmita.training.examples import CannotTrainError


class CannotLearnError(CannotTrainError):
    """An error in the file or in the order: no model can be made from them."""

    def __init__(
        self,
        code: TrainingErrorCode,
        message: str,
        *,
        column: str | None = None,
        row: int | None = None,
        value: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.column = None if column is None else short(column)
        self.row = row
        """The line of the file, which the header is the first of."""
        self.value = None if value is None else shown(value)


def short(name: str) -> str:
    """Return a column's name as an error repeats it."""
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…"


_MAX_SHOWN = 60
