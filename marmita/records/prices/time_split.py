"""How the days of a series are shared out: the oldest to learn from, the next to calibrate on, the latest to judge by.

Whoever trains must know, and whoever decides whether to train.
"""

TRAINING_SHARE = 0.68
CALIBRATION_SHARE = 0.155
"""Of the reference file that is: learn from 2000 to 2008, calibrate on 2009 and 2010, judge by what came after."""


def first_unseen(days: int) -> int:
    """The place of the first of so many days that a model does not see before it is judged."""
    return int(days * (TRAINING_SHARE + CALIBRATION_SHARE))
