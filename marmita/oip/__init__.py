"""The Open Inference Protocol: codec and routes."""
