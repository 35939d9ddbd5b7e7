"""FastAPI with the features of this service, written by hand."""
