"""The training kit: splits, conversion to ONNX, scoring, the gate, packing, reports."""

import os

# The libraries read these variables when they are first imported. TensorFlow's own log hides the progress of a
# training, and its oneDNN kernels give results that depend on the machine. OpenMP's threads spin while they wait: on a
# busy machine, boosting on two threads takes thirty times as long as on one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
