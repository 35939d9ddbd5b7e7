"""Contracts: rows and requests, errors, and their OpenAPI parts."""
