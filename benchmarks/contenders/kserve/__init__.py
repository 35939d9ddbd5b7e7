"""KServe's Python runtime."""
