"""The contenders and their workloads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from benchmarks import dialects
from benchmarks.dialects import Dialect
from benchmarks.places import ROOT
from benchmarks.workloads import (
    FORECASTS_TOGETHER,
    MANY_WINES,
    ONE_FORECAST,
    ONE_WINE,
    WINES,
    WINES_TOGETHER,
    Workload,
)

MARMITA = "marmita"
"""The environment of this service, with the packages that a Bento installs."""

CONFIGURED = yaml.safe_load((ROOT / "configuration.yaml").read_text())["services"]
CONCURRENCY_PER_WORKER = CONFIGURED["traffic"]["max_concurrency"] // CONFIGURED["Marmita"]["workers"]
"""The number of concurrent requests of one worker."""


@dataclass(frozen=True)
class Route:
    """A route of a contender, with its dialect and workloads."""

    name: str
    dialect: Dialect
    workloads: tuple[Workload, ...]


@dataclass(frozen=True)
class Contender:
    """A server with its measured routes.

    In `command`, `prepare` and `variables`, names in braces are replaced by the fields of `servers.Site`.
    """

    name: str
    about: str
    environment: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    routes: tuple[Route, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()
    is_loop: bool = False
    """Whether the contender is not a server, but calls the model in a loop."""


def marmita(
    name: str,
    about: str,
    routes: tuple[Route, ...],
    settings: Mapping[str, str] | None = None,
    runners: Mapping[str, Any] | None = None,
) -> Contender:
    """Return our service as a contender, configured as in `configuration.yaml` but with one worker."""
    services = {"Marmita": {"workers": 1, "traffic": {"max_concurrency": CONCURRENCY_PER_WORKER}}, **(runners or {})}
    return Contender(
        name=name,
        about=about,
        environment=MARMITA,
        packages=("bentoml", "onnxruntime", "pydantic", "starlette", "uvicorn", "uvloop"),
        command=("{bin}/python", "-m", "bentoml", "serve", ".", "--host", "127.0.0.1", "--port", "{port}"),
        variables={"BENTOML_CONFIG_OVERRIDES": json.dumps({"services": services}), **(settings or {})},
        routes=routes,
    )


def uvicorn(app: str) -> tuple[str, ...]:
    loop = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")
    return ("{bin}/python", "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", "{port}", *loop)


def module(name: str) -> tuple[str, ...]:
    return ("{bin}/python", "-m", name)


OFF = {"batching": {"enabled": False}}
WINES_AND_FORECASTS = (*WINES, ONE_FORECAST)

COLOCATED = marmita(
    "marmita",
    "this service, colocated, batching on",
    (
        Route("JSON", dialects.CONTRACT, (*WINES_AND_FORECASTS, FORECASTS_TOGETHER)),
        Route("tensors", dialects.OUR_TENSORS, WINES),
        Route("binary tensors", dialects.OUR_BINARY, WINES),
    ),
)

CONTENDERS = (
    COLOCATED,
    Contender(
        name="fastapi",
        about="FastAPI by hand with equal features: the same contract, ONNX Runtime, metrics, ids, access log",
        environment="fastapi",
        packages=("fastapi", "onnxruntime", "prometheus-client", "pydantic", "starlette", "uvicorn", "uvloop"),
        command=uvicorn("benchmarks.contenders.fastapi.server:app"),
        routes=(Route("JSON", dialects.CONTRACT, WINES_AND_FORECASTS),),
    ),
    Contender(
        name="asgi",
        about="the limit: a bare ASGI application with the same model",
        environment="asgi",
        packages=("httptools", "msgspec", "onnxruntime", "uvicorn", "uvloop"),
        command=uvicorn("benchmarks.contenders.asgi.server:app"),
        routes=(Route("tensors", dialects.TENSORS, WINES),),
    ),
    Contender(
        name="asgi_constant",
        about="the limit of the limit: a bare ASGI application that always says the same",
        environment="asgi",
        packages=("httptools", "uvicorn", "uvloop"),
        command=uvicorn("benchmarks.contenders.asgi.constant:app"),
        routes=(Route("tensors", dialects.CONSTANT, (ONE_WINE, WINES_TOGETHER)),),
    ),
    Contender(
        name="onnx_loop",
        about="the limit without HTTP: the ONNX session called in a loop, in process",
        environment="asgi",
        packages=("onnxruntime", "numpy"),
        command=(*module("benchmarks.contenders.asgi.loop"), "{wine}/compiled.onnx"),
        routes=(Route("call", dialects.CONSTANT, (ONE_WINE, MANY_WINES)),),
        is_loop=True,
    ),
    marmita(
        "marmita_unbatched",
        "this service, colocated, batching off",
        (
            Route("JSON", dialects.CONTRACT, (*WINES_AND_FORECASTS, FORECASTS_TOGETHER)),
            Route("tensors", dialects.OUR_TENSORS, WINES),
        ),
        runners={"FetalHealth": OFF, "WineQuality": OFF, "StockForecast": OFF},
    ),
    marmita(
        "marmita_split",
        "this service, split into a front and one process for each model, batching on",
        (
            Route("JSON", dialects.CONTRACT, WINES_AND_FORECASTS),
            Route("tensors", dialects.OUR_TENSORS, WINES),
        ),
        settings={"MARMITA_TOPOLOGY": "split"},
    ),
    marmita(
        "marmita_recording",
        "this service, colocated, every prediction kept in SQLite",
        (
            Route("JSON", dialects.CONTRACT, WINES),
            Route("tensors", dialects.OUR_TENSORS, WINES),
        ),
        settings={"MARMITA_RECORD": "all"},
    ),
    Contender(
        name="mosec",
        about="mosec: a front in Rust, one worker in Python, batches of up to 64",
        environment="mosec",
        packages=("mosec", "onnxruntime"),
        command=(*module("benchmarks.contenders.mosec.server"), "--address", "127.0.0.1", "--port", "{port}"),
        routes=(Route("JSON", dialects.MOSEC, WINES),),
    ),
    Contender(
        name="mlserver",
        about="MLServer with a custom runtime, no parallel workers",
        environment="mlserver",
        packages=("mlserver", "fastapi", "onnxruntime", "pydantic", "uvicorn", "uvloop"),
        command=("{bin}/mlserver", "start", "{contenders}/mlserver"),
        variables={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{second_port}",
            "MLSERVER_METRICS_PORT": "{third_port}",
            "MLSERVER_METRICS_DIR": "{folder}",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_DEBUG": "false",
        },
        routes=(Route("tensors", dialects.TENSORS, WINES),),
    ),
    Contender(
        name="kserve",
        about="KServe's Python runtime with a custom model",
        environment="kserve",
        packages=("kserve", "fastapi", "onnxruntime", "pydantic", "uvicorn", "uvloop"),
        command=module("benchmarks.contenders.kserve.server"),
        routes=(Route("tensors", dialects.TENSORS, WINES),),
    ),
    Contender(
        name="litserve",
        about="LitServe with one worker",
        environment="litserve",
        packages=("litserve", "fastapi", "onnxruntime", "pydantic", "uvicorn", "uvloop"),
        command=module("benchmarks.contenders.litserve.server"),
        routes=(Route("JSON", dialects.LITSERVE, WINES),),
    ),
    Contender(
        name="mlflow",
        about="MLflow's scoring server with its own ONNX flavour",
        environment="mlflow",
        packages=("mlflow", "fastapi", "onnxruntime", "pandas", "pydantic", "uvicorn"),
        prepare=(*module("benchmarks.contenders.mlflow.save"), "{folder}/model"),
        command=(
            *module("mlflow"),
            *("models", "serve", "--model-uri", "{folder}/model", "--env-manager", "local", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        variables={"MLFLOW_DISABLE_TELEMETRY": "true"},
        routes=(Route("JSON", dialects.MLFLOW, WINES),),
    ),
    Contender(
        name="ray_serve",
        about="Ray Serve with one replica",
        environment="ray_serve",
        packages=("ray", "fastapi", "onnxruntime", "pydantic", "uvicorn", "uvloop"),
        command=module("benchmarks.contenders.ray_serve.server"),
        variables={"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"},
        routes=(Route("JSON", dialects.RAY_SERVE, WINES),),
    ),
    Contender(
        name="bentoml_sklearn",
        about="BentoML as its quickstart does it, scikit-learn's predict",
        environment="bentoml_native",
        packages=("bentoml", "scikit-learn", "pydantic", "starlette", "uvicorn"),
        command=(
            *("{bin}/python", "-m", "bentoml", "serve", "benchmarks.contenders.bentoml_native.wines:WineScores"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        routes=(Route("JSON", dialects.BENTOML, WINES),),
    ),
    Contender(
        name="bentoml_keras",
        about="BentoML as its quickstart does it, Keras' predict",
        environment="bentoml_native",
        packages=("bentoml", "keras", "tensorflow-cpu", "pydantic", "starlette", "uvicorn"),
        command=(
            *("{bin}/python", "-m", "bentoml", "serve", "benchmarks.contenders.bentoml_native.forecasts:Forecasts"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        routes=(Route("JSON", dialects.BENTOML, (ONE_FORECAST,)),),
    ),
    Contender(
        name="fastapi_sklearn",
        about="FastAPI as tutorials do it, scikit-learn's predict",
        environment="fastapi_native",
        packages=("fastapi", "scikit-learn", "pydantic", "starlette", "uvicorn", "uvloop"),
        command=uvicorn("benchmarks.contenders.fastapi_native.wines:app"),
        routes=(Route("JSON", dialects.CONTRACT, WINES),),
    ),
    Contender(
        name="fastapi_keras",
        about="FastAPI as tutorials do it, Keras' predict",
        environment="fastapi_native",
        packages=("fastapi", "keras", "tensorflow-cpu", "pydantic", "starlette", "uvicorn", "uvloop"),
        command=uvicorn("benchmarks.contenders.fastapi_native.forecasts:app"),
        routes=(Route("JSON", dialects.CONTRACT, (ONE_FORECAST,)),),
    ),
)
