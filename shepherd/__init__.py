"""Keeps the models fresh: looks at each of them, decides whether to retrain it, and has that done."""
