"""The upper bounds of the benchmark: bare ASGI applications, and the model without HTTP."""
