"""The values that the chart is tried with: each mode at its least, and everything set."""

import copy
from typing import Any

import pytest

from marmita import discovery
from marmita.cli.chart import component
from marmita.records.quality.path_evaluator import PathEvaluator
from marmita.runtime.endpoints import endpoints_of
from tests.e2e.server import ROOT

Values = dict[str, Any]

CHART = ROOT / "deploy" / "chart"
NAMES = {component(name): name for name in discovery.names()}
MODELS = tuple(NAMES)
ROUTES = {model: sorted(endpoints_of(discovery.runner(name))) for model, name in NAMES.items()}
WITH_PRICES = [model for model, name in NAMES.items() if isinstance(discovery.runner(name).evaluator, PathEvaluator)]
ONE, OTHER, THIRD = [model for model in MODELS if "-" in model][:3]
"""Some whose keys in the values are not their names."""

TOGETHER: Values = {"mode": "together", "image": {"tag": "v1"}}
SEPARATE: Values = {"mode": "separate", "models": {model: {"image": {"tag": f"v1-{model}"}} for model in MODELS}}
MODES = pytest.mark.parametrize("mode", [TOGETHER, SEPARATE], ids=["together", "separate"])

CONFIGURATION = (ROOT / "configuration.yaml").read_text()
EVERYTHING: Values = {
    "imagePullSecrets": [{"name": "registry"}],
    "topology": "split",
    "otlpEndpoint": "http://collector.observability:4318/v1/traces",
    "configuration": CONFIGURATION,
    "database": {"existingSecret": "records", "key": "uri"},
    "records": {"mode": "sample", "sampleRate": 0.5, "retention": "7d", "bufferMb": 64},
    "quality": {"interval": "5m", "window": "7d"},
    "apiKeys": {"existingSecret": "callers", "key": "all"},
    "store": {"existingClaim": "models"},
    "shepherd": {
        "enabled": True,
        "schedule": "@daily",
        "interval": "2h",
        "image": {"tag": "abc123"},
        "ticker": "MSFT",
        "retrain": {
            "maxAge": "10d",
            "errorRatio": 2.5,
            "minLabels": 50,
            "backoff": "12h",
            "timeout": "30m",
            "memoryMb": 2048,
            "keepVersions": 5,
        },
        "mlflow": {"uri": "http://mlflow.mlflow:5000"},
        "extraEnv": [{"name": "OMP_NUM_THREADS", "value": "2"}],
    },
    "extraEnv": [
        {"name": "TZ", "value": "UTC"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "token"}}},
    ],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "models", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}]
            }
        }
    },
    "podAnnotations": {"example.com/team": "models"},
    "serviceAccount": {"annotations": {"example.com/role": "none"}},
    "ingress": {
        "enabled": True,
        "records": True,
        "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
        "hosts": ["models.example.com", "models.example.org"],
        "tls": [{"secretName": "models-tls", "hosts": ["models.example.com", "models.example.org"]}],
    },
    "networkPolicy": {
        "otlp": {"namespace": "observability"},
        "database": {"namespace": "databases"},
        "mlflow": {"namespace": "mlflow"},
        "yahoo": True,
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}},
    "autoscaling": {"requestsInProgress": {"enabled": True}},
}


def with_(*parts: Values) -> Values:
    """Values over values, as Helm lays them over each other."""
    merged: Values = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = with_(merged[key], value) if both else copy.deepcopy(value)
    return merged
