"""The shepherd: the retraining controller."""
