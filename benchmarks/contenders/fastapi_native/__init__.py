"""FastAPI with the native models, as tutorials show it."""
