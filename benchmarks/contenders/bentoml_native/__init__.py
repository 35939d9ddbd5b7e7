"""BentoML as its quickstart shows it: native models, synchronous endpoints, defaults."""
