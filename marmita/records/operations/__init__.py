"""Leases, training runs and retraining decisions."""
