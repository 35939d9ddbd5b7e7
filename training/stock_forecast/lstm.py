"""The network of the stock forecaster: closes in, a path of closes with an interval out.

The network works on log returns divided by the window's volatility, so that it serves any price level and currency.
Keras has no type annotations: hence the `Any`.
"""

import logging
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import curl_cffi  # noqa: F401  must be loaded before TensorFlow, or it finds TensorFlow's curl in place of its own
import keras
import numpy as np
import numpy.typing as npt
import onnx
import tensorflow
from keras import ops

from marmita.registry.packed_model import PackedModel
from marmita.training.examples import Doubles
from training.stock_forecast.fine_tuning import CannotFineTuneError
from training.stock_forecast.windows import COVERAGE, OUTPUTS, QUANTILES, VOLATILITY, Recipe, Samples, moves

Weights = dict[str, list[npt.NDArray[np.float32]]]
"""The weights of each trained layer, by its name."""

NATIVE = "model.keras"
LEARNING_LAYERS = ("memory", "middle", "below", "above")
NORMAL_95 = 1.6449
"""The 95 % quantile of the standard normal distribution."""


def train(fitting: Samples, calibration: Samples, recipe: Recipe, weights: Weights | None = None) -> Any:
    """Train a model from closes to `close`, `low` and `high` on one period, and calibrate it on the next.

    With `weights`, the training starts from them.
    """
    _make_deterministic(recipe.seed)
    network = _build(recipe)
    for name, arrays in (weights or {}).items():
        network.get_layer(name).set_weights(arrays)
    _fit(network, fitting, calibration, recipe)
    return _serving_model(network, _calibrate(network, calibration), recipe)


def weights_of(packed: PackedModel, recipe: Recipe) -> Weights:
    """Return the weights of a packed model. Raise `CannotFineTuneError` unless they fit the recipe's network."""
    try:
        native = keras.saving.load_model(packed.path / NATIVE, compile=False, safe_mode=True)
        weights = {name: native.get_layer(name).get_weights() for name in LEARNING_LAYERS}
        window = native.input_shape[1]
    except Exception as error:  # Keras raises what its layers raise
        first_line = str(error).strip().partition("\n")[0]
        raise CannotFineTuneError(f"the native model of {packed.tag} can't be loaded: {first_line}") from error
    network = _build(recipe)
    wanted = {name: network.get_layer(name).get_weights() for name in LEARNING_LAYERS}
    if window != recipe.window or _shapes(weights) != _shapes(wanted):
        raise CannotFineTuneError(f"the network of {packed.tag} has another shape than this recipe's")
    return weights


def _shapes(weights: Weights) -> dict[str, list[tuple[int, ...]]]:
    return {name: [array.shape for array in arrays] for name, arrays in weights.items()}


def predict(model: Any, closes: Doubles) -> Doubles:
    """Return the native model's outputs side by side, in the layout of the ONNX model's."""
    answer = model.predict(closes.astype(np.float32), verbose=0)
    return np.hstack([np.asarray(answer[name], np.float64) for name in OUTPUTS])


def compiled(model: Any) -> bytes:
    """Convert the model to ONNX."""
    signature = [keras.InputSpec(dtype="float32", shape=(None, model.input_shape[1]), name="closes")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model.export(str(path), format="onnx", input_signature=signature, verbose=False)
        exported = onnx.load(path)
    outputs = {output.name: output for output in exported.graph.output}
    del exported.graph.output[:]
    exported.graph.output.extend([outputs[name] for name in OUTPUTS])
    onnx.checker.check_model(exported, full_check=True)
    return bytes(exported.SerializeToString())


def _make_deterministic(seed: int) -> None:
    """Set Keras and TensorFlow up so that the same seed gives the same weights, whatever the number of cores."""
    keras.utils.set_random_seed(seed)
    tensorflow.config.experimental.enable_op_determinism()
    for name in ("absl", "tensorflow", "tf2onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _build(recipe: Recipe) -> Any:
    """Build the network from closes to [N, horizon, 3]: the middle move, and the interval's reach below and above it.

    The last layers are initialized to zero, so that training starts from persistence with the interval of a random
    walk.
    """
    closes = keras.Input((recipe.window,), name="closes")
    returns = _returns(closes)
    scaled = ops.expand_dims(returns / _volatility(returns), -1)
    state = keras.layers.LSTM(recipe.units, name="memory")(scaled)
    middle = keras.layers.Dense(
        recipe.horizon,
        activation="tanh",
        use_bias=False,
        kernel_initializer="zeros",
        kernel_regularizer=keras.regularizers.L2(recipe.middle_penalty),
        name="middle",
    )(state)
    reaches = [_reach(state, recipe, name) for name in ("below", "above")]
    return keras.Model(closes, ops.stack([middle, *reaches], axis=-1), name="moves")


def _reach(state: Any, recipe: Recipe, name: str) -> Any:
    return keras.layers.Dense(
        recipe.horizon,
        activation="softplus",
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(float(np.log(np.expm1(NORMAL_95)))),
        kernel_regularizer=keras.regularizers.L2(recipe.penalty),
        name=name,
    )(state)


def _returns(closes: Any) -> Any:
    # Divide before the logarithm: a difference of single-precision logarithms loses small returns.
    return ops.log(closes[:, 1:] / closes[:, :-1])


def _volatility(returns: Any) -> Any:
    return ops.clip(ops.sqrt(ops.mean(ops.square(returns), axis=1, keepdims=True)), *VOLATILITY)


def _pinball(true: Any, predicted: Any) -> Any:
    """Return the mean quantile loss of the lower end, the middle and the upper end."""
    middle, below, above = (predicted[..., index] for index in range(3))
    losses = []
    for quantile, edge in zip(QUANTILES, (middle - below, middle, middle + above), strict=True):
        error = true - edge
        losses.append(ops.maximum(quantile * error, (quantile - 1.0) * error))
    return ops.mean(sum(losses[1:], losses[0]), axis=-1)


def _fit(network: Any, fitting: Samples, calibration: Samples, recipe: Recipe) -> None:
    """Train in place, and restore the weights of the epoch with the lowest loss on the calibration years."""

    def follow(epoch: int, logs: Mapping[str, float]) -> None:
        print(f"  epoch {epoch + 1:2}  loss {logs['loss']:.4f}  calibration years {logs['val_loss']:.4f}", flush=True)

    network.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate, clipnorm=1.0), loss=_pinball, jit_compile=False
    )
    network.fit(
        *_arrays(fitting),
        validation_data=_arrays(calibration),
        batch_size=recipe.batch,
        epochs=recipe.epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=recipe.patience, restore_best_weights=True),
            keras.callbacks.LambdaCallback(on_epoch_end=follow),
        ],
    )


def _arrays(samples: Samples) -> tuple[Any, Any]:
    return samples.closes.astype(np.float32), moves(samples).astype(np.float32)


def _calibrate(network: Any, calibration: Samples) -> Doubles:
    """Return for each day the factor that gives the interval 90 % coverage, by split conformal prediction."""
    predicted = np.asarray(network.predict(calibration.closes.astype(np.float32), verbose=0), np.float64)
    middle, below, above = np.moveaxis(predicted, -1, 0)
    error = moves(calibration) - middle
    needed = np.where(error < 0, -error / below, error / above)
    level = min(1.0, COVERAGE * (len(needed) + 1) / len(needed))
    factors: Doubles = np.quantile(needed, level, axis=0, method="higher")
    return factors


def _serving_model(network: Any, factors: Doubles, recipe: Recipe) -> Any:
    """Build the served model from closes to closes: the network with the calibration factors as constants.

    The ends of the interval are the close times factors below and above one, so that low <= close <= high. The model
    uses the network's tensors, not the network: its loss would be saved with it, and loading would need this module.
    """
    closes, predicted = network.input, network.output
    scale = _volatility(_returns(closes)) * np.sqrt(np.arange(1, recipe.horizon + 1)).astype(np.float32)
    close = closes[:, -1:] * ops.exp(scale * predicted[..., 0])
    reach = scale * factors.astype(np.float32)
    low = close * ops.exp(-reach * predicted[..., 1])
    high = close * ops.exp(reach * predicted[..., 2])
    return keras.Model(closes, {"close": close, "low": low, "high": high}, name="stock_forecast")
