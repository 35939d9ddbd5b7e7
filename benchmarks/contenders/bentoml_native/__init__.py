"""BentoML as its quickstart does it: native models, endpoints that are not async, defaults."""
