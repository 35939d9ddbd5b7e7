"""The served models: one module for each, with its contract and its service."""
