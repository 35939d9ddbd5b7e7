"""Predictions and their labels, from the request to the database and back."""
