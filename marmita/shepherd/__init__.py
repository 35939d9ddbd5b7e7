"""The shepherd: the controller that retrains models."""
