"""How the fetal-health classifier is judged: a label is a class."""

from bentos.fetal_health.contract import NAME, STATUSES, Exam
from marmita.contract import features
from records.judging import Classifier

JUDGE = Classifier(NAME, features(Exam), STATUSES)
