"""LitServe: FastAPI in front of a worker process."""
