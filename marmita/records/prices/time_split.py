"""The time split of a series: the oldest days for training, the next for calibration, the newest for evaluation.

Training uses it, and so does the decision whether to train.
"""

TRAINING_SHARE = 0.68
CALIBRATION_SHARE = 0.155
"""In the reference file: training on 2000 to 2008, calibration on 2009 and 2010, evaluation on the later days."""


def first_unseen(days: int) -> int:
    """Return the index of the first held-out day in a series of this many days."""
    return int(days * (TRAINING_SHARE + CALIBRATION_SHARE))
