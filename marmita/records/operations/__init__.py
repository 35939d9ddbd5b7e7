"""Leases, training runs, retraining decisions and the queue of trainings."""
