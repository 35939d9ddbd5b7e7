"""The error of an estimator or a table that can't be packed."""

from enum import StrEnum


class Problem(StrEnum):
    """What is in the way of packing."""

    NAME = "invalid_name"
    TABLE = "invalid_table"
    """The table is no table, or its columns can't be told apart."""
    COLUMN = "invalid_column"
    """A column is of a kind that is not supported."""
    VALUE = "invalid_value"
    """A value of a column can't be an input."""
    TARGET = "invalid_target"
    ROWS = "too_few_rows"
    ESTIMATOR = "unsupported_estimator"
    FIT = "fit_failed"
    CONVERSION = "not_convertible"
    """A step of the estimator has no equivalent in ONNX."""
    DIFFERENCE = "not_equal"
    """The compiled model gives other answers than the estimator."""
    SAVING = "not_saved"
    FILE = "unreadable_file"
    """A file with an estimator or a table can't be read."""


class CannotPackError(ValueError):
    """An estimator or a table that can't be packed: nothing is left in the store."""

    def __init__(self, code: Problem, message: str) -> None:
        super().__init__(message)
        self.code = code
