import asyncio
import math
from datetime import UTC, datetime

from prometheus_client import REGISTRY

from marmita.telemetry import metrics as all_metrics
from marmita.telemetry.metrics import ModelMetrics


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"model": "test_model", **labels}) or 0.0


async def test_rows_outcomes_and_unusual_inputs_are_counted() -> None:
    metrics = ModelMetrics("test_model")
    all_metrics.write()  # an earlier test's loop may have ended before it did

    metrics.ran(3, 0.002)
    metrics.answered(3, ["good", "bad", "good"], ["alcohol"])
    await asyncio.sleep(2 * all_metrics.DELAY_S)

    assert value("marmita_batch_rows_sum") == 3
    assert value("marmita_inference_seconds_count") == 1
    assert value("marmita_rows_total") == 3
    assert value("marmita_predictions_total", outcome="good") == 2
    assert value("marmita_predictions_total", outcome="bad") == 1
    assert value("marmita_unusual_inputs_total", feature="alcohol") == 1


def test_one_version_is_served_at_a_time() -> None:
    first, second = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    all_metrics.serves("test_model", "v1", first)
    all_metrics.serves("test_model", "v2", second, no_more="v1")

    assert value("marmita_model_served", version="v1") == 0
    assert value("marmita_model_served", version="v2") == 1
    assert math.isnan(value("marmita_model_trained_timestamp_seconds", version="v1"))
    assert value("marmita_model_trained_timestamp_seconds", version="v2") == second.timestamp()


def test_a_model_s_endpoints_are_shown() -> None:
    all_metrics.answers_at("test_model", ["/test/one", "/test/two"])

    assert value("marmita_model_route", endpoint="/test/one") == 1
    assert value("marmita_model_route", endpoint="/test/two") == 1
