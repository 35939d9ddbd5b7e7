"""How each model is made: one script a model, run as `python -m training.wine_quality`."""
