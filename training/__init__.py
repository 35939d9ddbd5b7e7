"""How each model is made: one script per model, run as `python -m training.wine_quality`."""

import os

# TensorFlow's own log hides the progress that a person wants to follow, and its oneDNN kernels give results that
# depend on the machine. Both are read when TensorFlow is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
