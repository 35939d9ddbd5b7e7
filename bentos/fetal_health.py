"""Cardiotocograms: features of the trace in, the state of the fetus out."""

import bentoml
from pydantic import ConfigDict

from marmita.contract.rows import Row, also_known_as, feature
from marmita.runtime.tables import Classifier, serves
from marmita.service import Service

HEADERS = {"baseline_value": "baseline value"}
"""The data set's column names, where they differ from the features'."""


class Exam(Row):
    """The features of one cardiotocogram."""

    model_config = ConfigDict(alias_generator=also_known_as(HEADERS))

    baseline_value: float = feature("Baseline fetal heart rate", unit="beats/min", low=0, high=300, example=133)
    accelerations: float = feature("Accelerations", unit="1/s", low=0, high=1, example=0.003)
    fetal_movement: float = feature("Fetal movements", unit="1/s", low=0, high=5, example=0.0)
    uterine_contractions: float = feature("Uterine contractions", unit="1/s", low=0, high=1, example=0.008)
    light_decelerations: float = feature("Light decelerations", unit="1/s", low=0, high=1, example=0.003)
    severe_decelerations: float = feature("Severe decelerations", unit="1/s", low=0, high=1, example=0.0)
    prolongued_decelerations: float = feature("Prolonged decelerations", unit="1/s", low=0, high=1, example=0.0)
    abnormal_short_term_variability: float = feature(
        "Time with abnormal short-term variability", unit="%", low=0, high=100, example=16
    )
    mean_value_of_short_term_variability: float = feature(
        "Mean short-term variability", unit="ms", low=0, high=100, example=2.1
    )
    percentage_of_time_with_abnormal_long_term_variability: float = feature(
        "Time with abnormal long-term variability", unit="%", low=0, high=100, example=0
    )
    mean_value_of_long_term_variability: float = feature(
        "Mean long-term variability", unit="ms", low=0, high=500, example=13.4
    )
    histogram_width: float = feature(
        "Width of the heart-rate histogram", unit="beats/min", low=0, high=300, example=130
    )
    histogram_min: float = feature("Lowest rate in the histogram", unit="beats/min", low=0, high=300, example=68)
    histogram_max: float = feature("Highest rate in the histogram", unit="beats/min", low=0, high=300, example=198)
    histogram_number_of_peaks: float = feature("Peaks of the histogram", unit="count", low=0, high=300, example=5)
    histogram_number_of_zeroes: float = feature("Zeroes of the histogram", unit="count", low=0, high=300, example=1)
    histogram_mode: float = feature("Mode of the histogram", unit="beats/min", low=0, high=300, example=141)
    histogram_mean: float = feature("Mean of the histogram", unit="beats/min", low=0, high=300, example=135)
    histogram_median: float = feature("Median of the histogram", unit="beats/min", low=0, high=300, example=138)
    histogram_variance: float = feature(
        "Variance of the histogram", unit="(beats/min)²", low=0, high=90_000, example=13
    )
    histogram_tendency: float = feature(
        "Which way the histogram leans: left, symmetric, right", unit="-1, 0 or 1", low=-1, high=1, example=0
    )


@bentoml.service(service_class=Service)
@serves(Exam, route="/fetal-health/classify", rows="exams", operation="classify")
class FetalHealth(Classifier):
    """Classify cardiotocograms.

    Each exam gets its most probable class and the probabilities of all three.
    """

    target = "status"
    classes = ("normal", "suspect", "pathological")
