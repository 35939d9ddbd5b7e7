"""FastAPI with the native models, as tutorials do it."""
