"""Benchmarks of this service and its peers: `make bench`."""
