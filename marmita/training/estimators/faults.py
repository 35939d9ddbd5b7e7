"""Steps of scikit-learn that are known not to become the same in ONNX, and what to use instead."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sklearn.base import is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, TargetEncoder

from marmita.training.conversion import BOOSTING, parts
from marmita.training.estimators.graph import SINGLE

CONVERTED = (
    "Steps that can be compiled are scalers, SimpleImputer, OneHotEncoder, OrdinalEncoder, ColumnTransformer, and of "
    "models the linear ones, trees, forests, boosting, MLP, votes and stacks"
)


LONGEST_ERROR = 200
"""The most characters of a converter's error that are told."""


class Fault(NamedTuple):
    """A step that answers otherwise once it is compiled, or that can't be compiled."""

    applies: Callable[[Any], bool]
    instead: str


FAULTS = (
    Fault(
        lambda part: isinstance(part, BOOSTING) and getattr(part, "is_categorical_", None) is not None,
        "set categorical_features=None, and encode words with OneHotEncoder or OrdinalEncoder before it",
    ),
    Fault(
        lambda part: isinstance(part, CalibratedClassifierCV) and part.method != "sigmoid",
        "calibrate with method='sigmoid'",
    ),
    Fault(
        lambda part: isinstance(part, CountVectorizer | HashingVectorizer),
        "derive numbers from the text before packing",
    ),
    Fault(
        lambda part: isinstance(part, FunctionTransformer) and part.func is not None,
        "compute its columns before packing: a function in Python can't be compiled",
    ),
    Fault(
        lambda part: isinstance(part, SimpleImputer) and part.add_indicator,
        "set add_indicator=False, or add a column of true and false that tells the gaps",
    ),
    Fault(
        lambda part: isinstance(part, TargetEncoder) and getattr(part, "target_type_", "") == "multiclass",
        "use OneHotEncoder or OrdinalEncoder",
    ),
    Fault(
        lambda part: isinstance(part, TransformedTargetRegressor),
        "transform the target before packing, and the answers after serving",
    ),
    Fault(
        lambda part: isinstance(part, VotingClassifier) and part.voting == "hard",
        "set voting='soft'",
    ),
)


def explain(model: Any) -> str:
    """Return what is known about a fitted model that answers otherwise once it is compiled."""
    if known := next(_faulty(model), None):
        return f"The step {known[0]} is known for it: {known[1].instead}"
    if steps := [_name(path, part) for path, part in _transformers(model)]:
        return f"Try it without the steps before the model, one after the other: {', '.join(steps)}"
    return CONVERTED


def unconverted(model: Any, error: Exception) -> str:
    """Return which step of a fitted model can't be converted, and what to do."""
    if known := next(_faulty(model), None):
        return f"the step {known[0]} can't be compiled: {known[1].instead}"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    named = [_name(path, part) for path, part in _steps(model) if type(part).__name__ in text]
    what = f"the step {named[-1]}" if named else "the estimator"
    return f"{what} can't be compiled ({text[:LONGEST_ERROR]}). {CONVERTED}"


def _steps(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the steps that were given, without those that were added."""
    return ((path, part) for path, part in parts(model) if not path.endswith(SINGLE))


def _faulty(model: Any) -> Iterator[tuple[str, Fault]]:
    return ((_name(path, part), fault) for path, part in _steps(model) for fault in FAULTS if fault.applies(part))


def _transformers(model: Any) -> Iterator[tuple[str, Any]]:
    for path, part in _steps(model):
        whole = isinstance(part, Pipeline | ColumnTransformer | FeatureUnion) or not hasattr(part, "transform")
        if not whole and not is_classifier(part) and not is_regressor(part):
            yield path, part


def _name(path: str, part: Any) -> str:
    kind = type(part).__name__
    return kind if path in ("", kind) else f"{path} ({kind})"
