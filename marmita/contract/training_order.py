"""The order for a training from a CSV: what to learn, from which columns, by which model.

It imports no library of training, so that whoever takes the order can check it before anything is started.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from marmita.contract.columns import Kind
from marmita.contract.tables import NAME

AUTO = "auto"
MAX_NAME = 200
"""The most characters of a column's name."""
MAX_SEED = 2**32 - 1
_MAX_LISTED = 1_000
_MAX_PARAMS = 50

Task = Literal["classification", "regression"]
Value = bool | int | float | str | None
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]


class TrainingErrorCode(StrEnum):
    """Why there can be no model from a CSV, for programs."""

    BINARY_FILE = "binary_file"
    EMPTY_FILE = "empty_file"
    NO_ROWS = "no_rows"
    NO_HEADER = "no_header"
    INVALID_CSV = "invalid_csv"
    RAGGED_ROW = "ragged_row"
    INVALID_COLUMN_NAME = "invalid_column_name"
    DUPLICATE_COLUMN_NAME = "duplicate_column_name"
    TOO_MANY_COLUMNS = "too_many_columns"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_MANY_CELLS = "too_many_cells"
    INVALID_VALUE = "invalid_value"
    UNKNOWN_COLUMN = "unknown_column"
    NO_USABLE_COLUMN = "no_usable_column"
    TARGET_NOT_FOUND = "target_not_found"
    TARGET_ALL_GAPS = "target_all_gaps"
    TARGET_NOT_NUMERIC = "target_not_numeric"
    ONE_CLASS = "one_class"
    ONE_VALUE = "one_value"
    TOO_MANY_CLASSES = "too_many_classes"
    CLASS_TOO_SMALL = "class_too_small"
    TOO_FEW_ROWS = "too_few_rows"
    NOT_PACKED = "not_packed"
    NAME_TAKEN = "name_taken"


@dataclass(frozen=True)
class Allowed:
    """The values that a parameter of a model may have: numbers in a range, or some words, `None` and booleans."""

    low: float = 1
    high: float = 0
    """Below `low`, there are no numbers."""
    whole: bool = False
    words: tuple[str | bool | None, ...] = ()

    def check(self, value: Value) -> Value:
        """Return a valid value, a number as an int or a float as the model needs it. Raise a ValueError otherwise."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.low <= value <= self.high and not (self.whole and value % 1):
                return int(value) if self.whole else float(value)
        elif any(value is word or (isinstance(value, str) and value == word) for word in self.words):
            return value
        raise ValueError(f"must be {self}")

    def __str__(self) -> str:
        number = "a whole number" if self.whole else "a number"
        numbers = [f"{number} from {self.low:g} to {self.high:g}"] if self.low <= self.high else []
        return " or ".join([*numbers, *(str(word) for word in self.words)])


@dataclass(frozen=True)
class KnownModel:
    """A model that can be asked for by its name, with its parameters."""

    task: Task
    parameters: Mapping[str, Allowed]

    def check(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """Return valid parameters. Raise a ValueError that names an invalid one."""
        checked = {}
        for name, value in given.items():
            if name not in self.parameters:
                raise ValueError(f"{name[:MAX_NAME]}: there is no such parameter, but {', '.join(self.parameters)}")
            try:
                checked[name] = self.parameters[name].check(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return checked


_COUNT = Allowed(1, 1_000, whole=True)
_DEPTH = Allowed(1, 100, whole=True, words=(None,))
_LEAVES = Allowed(2, 10_000, whole=True, words=(None,))
_MIN_LEAF = Allowed(1, 10_000, whole=True)
_MIN_SPLIT = Allowed(2, 10_000, whole=True)
_SHARE = Allowed(0.01, 1)
_FEATURES = Allowed(0.01, 1, words=("sqrt", "log2", None))
_RATE = Allowed(0.001, 1)
_PENALTY = Allowed(0, 1e6)
_SWITCH = Allowed(words=(True, False))
_WEIGHTS = Allowed(words=("balanced", None))
_SEED = Allowed(0, MAX_SEED, whole=True)
_ITERATIONS = Allowed(1, 10_000, whole=True)

_TREE = {
    "max_depth": _DEPTH,
    "max_leaf_nodes": _LEAVES,
    "min_samples_leaf": _MIN_LEAF,
    "min_samples_split": _MIN_SPLIT,
    "max_features": _FEATURES,
    "random_state": _SEED,
}
_FOREST = {"n_estimators": _COUNT, "bootstrap": _SWITCH, **_TREE}
_BOOSTING = {"n_estimators": _COUNT, "learning_rate": _RATE, "subsample": _SHARE, **_TREE}
_HISTOGRAM = {
    "max_iter": _COUNT,
    "learning_rate": _RATE,
    "max_leaf_nodes": Allowed(2, 1_000, whole=True),
    "max_depth": _DEPTH,
    "min_samples_leaf": _MIN_LEAF,
    "l2_regularization": _PENALTY,
    "max_features": _SHARE,
    "max_bins": Allowed(2, 255, whole=True),
    "early_stopping": Allowed(words=("auto", True, False)),
    "random_state": _SEED,
}
_CLASSES = {"class_weight": _WEIGHTS}
_CRITERION = {"criterion": Allowed(words=("gini", "entropy", "log_loss"))}

MODELS: Mapping[str, KnownModel] = {
    "LogisticRegression": KnownModel(
        "classification",
        {
            "C": Allowed(1e-6, 1e6),
            "max_iter": _ITERATIONS,
            "tol": Allowed(1e-8, 0.1),
            "fit_intercept": _SWITCH,
            "solver": Allowed(words=("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")),
            "random_state": _SEED,
            **_CLASSES,
        },
    ),
    "RandomForestClassifier": KnownModel("classification", {**_FOREST, **_CRITERION, **_CLASSES}),
    "ExtraTreesClassifier": KnownModel("classification", {**_FOREST, **_CRITERION, **_CLASSES}),
    "GradientBoostingClassifier": KnownModel("classification", _BOOSTING),
    "HistGradientBoostingClassifier": KnownModel("classification", {**_HISTOGRAM, **_CLASSES}),
    "Ridge": KnownModel(
        "regression", {"alpha": _PENALTY, "fit_intercept": _SWITCH, "tol": Allowed(1e-8, 0.1), "random_state": _SEED}
    ),
    "RandomForestRegressor": KnownModel("regression", _FOREST),
    "ExtraTreesRegressor": KnownModel("regression", _FOREST),
    "GradientBoostingRegressor": KnownModel(
        "regression", {**_BOOSTING, "loss": Allowed(words=("squared_error", "absolute_error"))}
    ),
    # Poisson and gamma are left out: skl2onnx converts them without an error to graphs that answer wrongly.
    "HistGradientBoostingRegressor": KnownModel(
        "regression", {**_HISTOGRAM, "loss": Allowed(words=("squared_error", "absolute_error"))}
    ),
}
"""The models that can be asked for by name. All are converted to ONNX without a difference in their answers."""


class TrainingOrder(BaseModel):
    """What to learn from a CSV."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=f"^{NAME}$", description="The name of the model to train", examples=["churn"])
    target: ColumnName = Field(description="The column to predict")
    task: Literal["auto", "classification", "regression"] = Field(
        default="auto", description="What to predict: a class, or a number. `auto` takes what the target's values are"
    )
    model: str = Field(default=AUTO, description=f"`auto`, or one of {', '.join(MODELS)}", max_length=MAX_NAME)
    params: dict[str, Any] = Field(
        default_factory=dict, description="The model's parameters, as scikit-learn names them", max_length=_MAX_PARAMS
    )
    drop: tuple[ColumnName, ...] = Field(
        default=(), description="Columns to leave out. Those that the file has not are ignored", max_length=_MAX_LISTED
    )
    kinds: dict[ColumnName, Kind] = Field(
        default_factory=dict, description="The kinds of columns, where they are to be others", max_length=_MAX_LISTED
    )
    seed: int = Field(default=7, ge=0, le=MAX_SEED, description="The same seed gives the same model")
    seconds: float = Field(default=120, ge=1, le=86_400, description="The time that the training may take")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model != AUTO and self.model not in MODELS:
            raise ValueError(f"model: must be {AUTO} or one of {', '.join(MODELS)}")
        if self.known_model is None and self.params:
            raise ValueError(f"params: {AUTO} has no parameters, name a model")
        if self.known_model and self.task not in (AUTO, self.known_model.task):
            raise ValueError(f"model: {self.model} is for {self.known_model.task}, not for {self.task}")
        if self.target in self.drop or self.target in self.kinds:
            raise ValueError("target: is in drop or in kinds")
        if self.params:
            _ = self.checked_params
        return self

    @property
    def known_model(self) -> KnownModel | None:
        """The model that is asked for; none if it is to be chosen."""
        return MODELS.get(self.model)

    @cached_property
    def checked_params(self) -> dict[str, Value]:
        """The parameters of the model, as scikit-learn takes them."""
        try:
            return self.known_model.check(self.params) if self.known_model else {}
        except ValueError as error:
            raise ValueError(f"params.{error}") from None
