"""Recorded predictions and their labels."""
