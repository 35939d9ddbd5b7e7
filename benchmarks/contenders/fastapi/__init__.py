"""FastAPI with what this service has, written by hand."""
