"""The limit of what Python answers over HTTP."""
