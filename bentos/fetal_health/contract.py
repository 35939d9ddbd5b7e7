"""What the fetal-health classifier takes and gives: features of a cardiotocogram in, its class out."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from marmita.contract.schema import (
    Answer,
    PredictionId,
    Request,
    Rows,
    Strict,
    also_known_as,
    describe,
    example,
    feature,
    most_keys,
)

NAME = "fetal_health"
HEADERS = {"baseline_value": "baseline value"}
"""The data set's own column names, where they differ from ours."""

Status = Literal["normal", "suspect", "pathological"]
STATUSES: tuple[Status, ...] = ("normal", "suspect", "pathological")
"""The classes in the order of the data set's labels 1, 2, 3 and of the model's outputs."""


class Exam(Strict):
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


EXAMPLE: dict[str, Any] = {"exams": [example(Exam)]}
CONTRACT: dict[str, Any] = {"features": describe(Exam)}


class Exams(Request):
    """Cardiotocograms to classify."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
    most_keys = most_keys(Exam)

    exams: Rows[Exam] = Field(description="The exams, one answer for each")


class Probabilities(Answer):
    """How probable each class is. They add up to one."""

    normal: float
    suspect: float
    pathological: float


class ExamStatus(Answer):
    """The class of an exam."""

    status: Status = Field(description="The most probable class")
    probabilities: Probabilities
    unusual: list[str] = Field(description="Features outside the range seen in training: take the class with care")
    model: str = Field(description="The version that answered", examples=["fetal_health:xf2cl6wbqsz7aaav"])
    id: PredictionId = None
