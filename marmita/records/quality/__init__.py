"""How good predictions were, and how far their inputs have drifted."""
