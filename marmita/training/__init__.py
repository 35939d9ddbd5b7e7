"""The kit for making models: splits, conversion to ONNX, scoring, the gate, packing, reports."""

import os

# All are read when the libraries are first imported. TensorFlow's own log hides the progress that a person wants to
# follow, and its oneDNN kernels give results that depend on the machine. OpenMP's threads spin while they wait: on a
# machine that is busy otherwise, boosting on two threads takes thirty times as long as on one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
